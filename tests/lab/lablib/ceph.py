"""A small real Ceph: monitors, one manager, OSDs on memstore. Cluster 2 is a stranger to cluster 1
that has the same pool name, user and key: the case of two hosts that only seem to share storage."""
import base64
import contextlib
import os
import signal
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from .env import CORE_IP, NET, POOL, ceph_dir, read, wait_until, write

MONITORS = {1: {"a": f"{NET}.2", "b": f"{NET}.3", "c": f"{NET}.4"}, 2: {"a": f"{NET}.5"}}
OSDS = {1: 2, 2: 1}

# The manager loads its always-on modules whatever the configuration says, and missing ones are a
# HEALTH_ERR. The lab needs none: it gets empty ones of these names, which saves seconds of start
# and the CPU of their threads.
MGR_SOURCE = "/usr/share/ceph/mgr"
MGR_ALWAYS_ON = ("balancer", "crash", "devicehealth", "orchestrator", "pg_autoscaler", "progress",
                 "rbd_support", "status", "telemetry", "volumes")
MGR_STUB = """from mgr_module import MgrModule


class Module(MgrModule):
    pass
"""

CAPS = {
    "mon.": ['mon = "allow *"'],
    "client.admin": ['mon = "allow *"', 'osd = "allow *"', 'mgr = "allow *"'],
    "mgr.x": ['mon = "allow profile mgr"', 'osd = "allow *"'],
    "client.libvirt": ['mon = "profile rbd"', f'osd = "profile rbd pool={POOL}"'],
}


def new_key():
    return base64.b64encode(struct.pack("<HIIH", 1, int(time.time()), 0, 16)
                            + os.urandom(16)).decode()


def keyring(keys, names, caps=False):
    text = ""
    for n in names:
        text += f"[{n}]\n\tkey = {keys[n]}\n"
        if caps:
            osd = ['mon = "allow profile osd"', 'mgr = "allow profile osd"', 'osd = "allow *"']
            text += "".join(f"\tcaps {c}\n" for c in CAPS.get(n, osd))
    return text


class Ceph:
    def __init__(self, lab, cluster=1):
        self.lab = lab
        self.cluster = cluster
        self.dir = lab.path(ceph_dir(cluster))
        self.monitors = MONITORS[cluster]
        self.osds = range(OSDS[cluster])

    def daemon(self, name):
        return f"{ceph_dir(self.cluster)}-{name}"

    def ceph(self, *args, **kw):
        return self.lab.core(["ceph", *args], cluster=self.cluster, **kw)

    def user_key(self):
        """The key of client.libvirt; the same in both clusters."""
        return read(self.lab.path("ceph", "client.libvirt.key")).strip()

    def fsid(self):
        return read(f"{self.dir}/fsid").strip()

    def host_conf(self):
        """What a host's /etc/ceph/ceph.conf says."""
        return (f"[global]\nfsid = {self.fsid()}\n"
                f"mon host = {','.join(self.monitors.values())}\n"
                "auth cluster required = cephx\nauth service required = cephx\n"
                "auth client required = cephx\n")

    def prepare(self):
        d = self.dir
        for sub in ("run", "log", "mgr"):
            os.makedirs(f"{d}/{sub}", exist_ok=True)
        write(f"{d}/fsid", f"{uuid.uuid4()}\n")
        keys = {n: new_key() for n in list(CAPS) + [f"osd.{o}" for o in self.osds]}
        if self.cluster == 1:
            write(f"{d}/client.libvirt.key", keys["client.libvirt"] + "\n", 0o600)
        keys["client.libvirt"] = self.user_key()
        write(f"{d}/mon.keyring", keyring(keys, keys, caps=True), 0o600)
        write(f"{d}/keyring", keyring(keys, ["client.admin", "client.libvirt"]), 0o600)
        write(f"{d}/mgr/keyring", keyring(keys, ["mgr.x"]), 0o600)
        for o in self.osds:
            write(f"{d}/osd.{o}/keyring", keyring(keys, [f"osd.{o}"]), 0o600)
        self.mgr_modules()
        write(f"{d}/ceph.conf", self.conf())

    def mgr_modules(self):
        folder = f"{self.dir}/mgr/modules"
        for name in MGR_ALWAYS_ON:
            write(f"{folder}/{name}/__init__.py", "from .module import Module\n")
            write(f"{folder}/{name}/module.py", MGR_STUB)
        for name in ("mgr_module.py", "mgr_util.py"):
            os.symlink(f"{MGR_SOURCE}/{name}", f"{folder}/{name}")

    def conf(self):
        # The long grace is for pause(): a placement group of a single OSD whose read lease (0.8 of
        # the grace) ran out while it stood still waits for an acknowledgement that nobody sends,
        # and is "laggy" for ever; and OSDs that continue would report each other as down.
        mons = ",".join(f"[v2:{ip}:3300,v1:{ip}:6789]" for ip in self.monitors.values())
        d = self.dir
        return f"""[global]
fsid = {self.fsid()}
mon host = {mons}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {d}/keyring
run dir = {d}/run
admin socket = {d}/run/$name.$pid.asok
log file = {d}/log/$name.log
crash dir = {d}/run
public addr = {CORE_IP}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd heartbeat grace = 3600
mon allow pool size one = true
mon warn on pool no redundancy = false
mon cluster log to file = false
mon data avail crit = 1
mon data avail warn = 2
[mon]
mon election timeout = 1
paxos propose interval = 0.25
mon data = {d}/mon.$id
[mgr]
mgr data = {d}/mgr
keyring = {d}/mgr/keyring
mgr module path = {d}/mgr/modules
mgr initial modules =
[osd]
osd data = {d}/osd.$id
keyring = {d}/osd.$id/keyring
osd objectstore = memstore
memstore device bytes = 4294967296
osd op num shards = 2
osd class update on start = false
"""

    def up(self):
        """From nothing to a pool with a user. Monitors first: the rest needs their quorum."""
        lab, d = self.lab, self.dir
        self.prepare()
        monmap = ["monmaptool", "--create", "--fsid", self.fsid()]
        for name, ip in self.monitors.items():
            monmap += ["--addv", name, f"[v2:{ip}:3300,v1:{ip}:6789]"]
        lab.core(monmap + [f"{d}/monmap"], cluster=self.cluster)

        def mkfs_mon(m):
            lab.core(["ceph-mon", "--mkfs", "-i", m, "--monmap", f"{d}/monmap", "--keyring",
                      f"{d}/mon.keyring"], cluster=self.cluster)
        uuids = {o: str(uuid.uuid4()) for o in self.osds}

        def mkfs_osd(o):
            lab.core(["ceph-osd", "-i", str(o), "--mkfs", "--no-mon-config", "--osd-uuid",
                      uuids[o]], cluster=self.cluster)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(mkfs_mon, self.monitors)) + list(pool.map(mkfs_osd, self.osds))
        for m in self.monitors:
            lab.spawn(self.daemon(f"mon.{m}"), ["ceph-mon", "-f", "-i", m], self.cluster)
        # One interactive `ceph` runs several commands: each start of that program costs 0.5 s.
        # Its own deadline waits for the quorum.
        ask = [f"osd new {u}" for u in uuids.values()]
        ask += [f"osd pool create {POOL} 8 8",
                f"osd pool application enable {POOL} rbd"]
        self.ceph("--connect-timeout", "40", stdin="\n".join(ask) + "\n", timeout=60)
        lab.spawn(self.daemon("mgr.x"), ["ceph-mgr", "-f", "-i", "x"], self.cluster)
        for o in self.osds:
            lab.spawn(self.daemon(f"osd.{o}"), ["ceph-osd", "-f", "-i", str(o)], self.cluster)
        # Writes its marker object: that it ends says that the placement groups are active.
        lab.core(["rbd", "pool", "init", POOL], cluster=self.cluster, timeout=60)

    def wait_healthy(self, seconds=60):
        log = self.lab.log(self.daemon("mon.a"))
        wait_until("Ceph HEALTH_OK", seconds, lambda: "HEALTH_OK" in self.ceph(
            "health", check=False, timeout=15).stdout, log, pause=0.5)

    @contextlib.contextmanager
    def stopped(self, osd):
        """One OSD stands still: it is not down, it does not answer."""
        self.lab.signal_daemon(self.daemon(f"osd.{osd}"), signal.SIGSTOP)
        try:
            yield
        finally:
            self.lab.signal_daemon(self.daemon(f"osd.{osd}"), signal.SIGCONT)

    def pause(self, on):
        """Stop or continue the OSDs: all I/O of the cluster stands still and is not lost."""
        return [o for o in self.osds if self.lab.signal_daemon(
            self.daemon(f"osd.{o}"), signal.SIGSTOP if on else signal.SIGCONT)]
