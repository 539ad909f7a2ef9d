"""Guests: their RBD image, their domain XML, and reading back what they wrote."""
import fcntl
import json
import os
import re
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from xml.sax.saxutils import escape

from . import beats, image
from .ceph import MONITORS
from .env import (COLLECTOR_PORT, CORE_IP, FIRST_GUEST_IP, LAST_GUEST_IP, NET, POOL, SECRET_UUID,
                  LabError, read, tail, wait_until, write)
from .host import Host

BEAT_MS = 100
FIRST_BEAT_DEADLINE = 120
OBJECT_BYTES = 4 << 20

DEFAULTS = {"host": "h1", "mem": 256, "fill": 0, "dirty": 0, "burn": 0, "vcpus": 1, "image": None,
            "size": "64M", "define": True, "transient": False, "xml_only": False, "bridge": "br0",
            "machine": "q35", "extra_device_xml": None, "local_qcow2": False, "cdrom": None,
            "io": "threads", "mon_hosts": True, "cluster": 1, "start": True, "wait": True, "period": BEAT_MS,
            "secret": SECRET_UUID, "deaf": False}


CPU = {"qemu": "<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>",
       "kvm": "<cpu mode='host-model'/>"}


def names(lab):
    try:
        files = os.listdir(lab.path("guests"))
    except FileNotFoundError:
        return []
    return sorted(f[:-5] for f in files if f.endswith(".json"))


def load(lab, name):
    text = read(lab.path("guests", name + ".json"))
    if text is None:
        raise LabError(f"no guest '{name}'; there are: {' '.join(names(lab)) or 'none'}")
    return json.loads(text)


def allocate(lab, name, wanted):
    """Remember a guest and give it a number for its address. Safe for several callers at once."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,54}", name):
        raise LabError(f"guest name '{name}': letters, digits and . _ - please, 55 at most")
    unknown = set(wanted) - set(DEFAULTS) - {"name"}
    if unknown:
        raise LabError(f"guest '{name}': unknown {', '.join(sorted(unknown))}; "
                       f"known: {', '.join(DEFAULTS)}")
    guest = {**DEFAULTS, **wanted, "name": name}
    guest["image"] = guest["image"] or name
    lab.host_number(guest["host"])
    os.makedirs(lab.path("guests"), exist_ok=True)
    with open(lab.path("guests.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {n: load(lab, n) for n in names(lab)}
        used = {g["number"] for g in known.values()}
        free = [n for n in range(FIRST_GUEST_IP, LAST_GUEST_IP + 1) if n not in used]
        if name in known:  # the same VM again: its address and uuid are its identity
            guest.update(number=known[name]["number"], uuid=known[name]["uuid"])
        elif free:
            guest.update(number=free[0], uuid=str(uuid.uuid4()))
        else:
            raise LabError("no address left for another guest")
        write(lab.path("guests", name + ".json"), json.dumps(guest, indent=1) + "\n")
    return guest


def address(guest):
    return f"{NET}.{guest['number']}", f"52:54:00:4d:00:{guest['number']:02x}"


def disk_xml(guest):
    hosts = ""
    if guest["mon_hosts"]:
        hosts = "".join(f"<host name='{ip}' port='6789'/>"
                        for ip in MONITORS[guest["cluster"]].values())
    return f"""    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='{guest['io']}' discard='unmap'/>
      <auth username='libvirt'><secret type='ceph' uuid='{guest['secret']}'/></auth>
      <source protocol='rbd' name='{POOL}/{guest['image']}'>{hosts}</source>
      <target dev='vda' bus='virtio'/>
    </disk>
"""


def burn(lab, name, percent):
    """Have a running guest burn so much of one CPU from now on."""
    ip, _ = address(load(lab, name))
    script = ("import socket, sys\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "for _ in range(3): s.sendto(sys.argv[2].encode(), (sys.argv[1], 9998))\n")
    lab.core(["python3", "-c", script, ip, f"burn {percent}"])


def local_disk(guest):
    return f"/var/lib/libvirt/images/{guest['name']}-local.qcow2"


def device_xml(guest):
    xml = disk_xml(guest)
    if guest["local_qcow2"]:
        xml += f"""    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='{local_disk(guest)}'/>
      <target dev='vdb' bus='virtio'/>
    </disk>
"""
    if guest["cdrom"]:
        bus = "ide" if guest["machine"].startswith(("pc", "i440")) else "sata"
        xml += f"""    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='{escape(guest['cdrom'])}'/>
      <target dev='{bus[0].replace('i', 'h')}da' bus='{bus}'/>
      <readonly/>
    </disk>
"""
    if guest["extra_device_xml"]:
        xml += read(guest["extra_device_xml"], "")
    return xml


def domain_xml(lab, guest):
    ip, mac = address(guest)
    kind = "kvm" if lab.config()["kvm"] else "qemu"
    cmdline = (f"{image.CMDLINE} lab.name={guest['name']} lab.ip={ip} lab.collector={CORE_IP} "
               f"lab.period={guest['period']} lab.fill={guest['fill']} lab.dirty={guest['dirty']} lab.burn={guest['burn']}"
               + " lab.deaf" * guest["deaf"])
    console = lab.path("guests", guest["name"] + ".console")
    return f"""<domain type='{kind}'>
  <name>{guest['name']}</name>
  <uuid>{guest['uuid']}</uuid>
  <memory unit='MiB'>{guest['mem']}</memory>
  <vcpu>{guest['vcpus']}</vcpu>
  <os>
    <type arch='x86_64' machine='{guest['machine']}'>hvm</type>
    <kernel>{lab.path('image', 'vmlinuz')}</kernel>
    <initrd>{lab.path('image', 'initrd')}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  {CPU[kind]}
  <clock offset='utc'/>
  <devices>
    <emulator>{image.QEMU}</emulator>
{device_xml(guest)}    <controller type='usb' model='none'/>
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='{guest['bridge']}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='{console}' append='on'/></serial>
    <memballoon model='virtio'/>
  </devices>
</domain>
"""


def create(lab, name, wanted):
    """Image, definition, start. Returns the guest and where the collector's log was before."""
    guest = allocate(lab, name, wanted)
    xml = lab.path("guests", name + ".xml")
    write(xml, domain_xml(lab, guest))
    if guest["xml_only"]:
        return guest, 0
    host = Host(lab, lab.host_number(guest["host"]))
    spec = f"{POOL}/{guest['image']}"
    made = lab.core(["rbd", "create", spec, "--size", guest["size"]], cluster=guest["cluster"],
                    check=False, timeout=60)
    if made.returncode not in (0, 17):  # EEXIST: the guest was here before and goes on counting
        raise LabError(f"rbd create {spec}: {made.stderr.strip()}")
    if guest["local_qcow2"]:
        host.run(["sh", "-c", f"mkdir -p {os.path.dirname(local_disk(guest))}; test -e "
                  f"{local_disk(guest)} || qemu-img create -q -f qcow2 {local_disk(guest)} 16M"])
    before = log_size(lab)
    if guest["transient"]:
        commands = [f"create {xml}"]
    else:
        commands = [f"define {xml}"] if guest["define"] else []
        commands += [f"start {name}"] if guest["start"] else []
    for command in commands:
        host.virsh(command, timeout=90)
    return guest, before


def log_size(lab):
    try:
        return os.path.getsize(lab.path("beats.log"))
    except FileNotFoundError:
        return 0


def wait_beats(lab, wanted, offset=None, seconds=FIRST_BEAT_DEADLINE):
    """Until each of them has been heard, from now on or from where the log was."""
    path, missing = lab.path("beats.log"), set(wanted)
    offset = log_size(lab) if offset is None else offset

    def heard():
        with open(path, errors="replace") as f:
            f.seek(offset)
            missing.difference_update({line.split(" ", 1)[0] for line in f if line.endswith("\n")})
        return not missing
    try:
        wait_until(f"a beat of {', '.join(wanted)}", seconds, heard)
    except LabError as e:
        raise LabError(f"{e}; silent: {', '.join(missing)}\n"
                       + "\n".join(tail(lab.path("guests", n + ".console")) for n in missing)) from e


def make(lab, wishes):
    """Make several guests; returns {name: seconds to its first beat}."""
    def one(wish):
        name = wish.get("name")
        if not name:
            raise LabError("a guest without a name")
        start = time.monotonic()
        guest, offset = create(lab, name, {k: v for k, v in wish.items() if k != "name"})
        runs = not guest["xml_only"] and (guest["start"] or guest["transient"])
        if runs and guest["wait"]:
            wait_beats(lab, [name], offset)
        return name, time.monotonic() - start if runs and guest["wait"] else None
    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(one, wishes))


# Reading back. Straight from RADOS, never through librbd: opening the image would add a watcher,
# and the watchers are what the tests look at.

IMAGE_IDS = {}  # by guest: it has one image as long as it lives


def image_id(lab, guest):
    known = (lab.name, guest["uuid"])
    if known not in IMAGE_IDS:
        got = lab.core(["rados", "-p", POOL, "get", f"rbd_id.{guest['image']}", "-"],
                       cluster=guest["cluster"], binary=True, check=False, timeout=30)
        if got.returncode:
            return None
        size = struct.unpack_from("<I", got.stdout)[0]
        IMAGE_IDS[known] = got.stdout[4:4 + size].decode()
    return IMAGE_IDS[known]


def read_disk(lab, guest):
    """The beats on a guest's disk, in order."""
    ident = image_id(lab, guest)
    chunks = []
    while ident is not None:
        got = lab.core(["rados", "-p", POOL, "get", f"rbd_data.{ident}.{len(chunks):016x}", "-"],
                       cluster=guest["cluster"], binary=True, check=False, timeout=30)
        if got.returncode:
            break
        chunks.append(got.stdout)
        if len(got.stdout) < OBJECT_BYTES:  # written from its beginning on: nothing is behind its end
            break
    return beats.parse_ring(chunks)


def mark(lab, label=""):
    line = f"# mark {time.monotonic_ns()} {label}\n"
    with open(lab.path("beats.log"), "a") as f:
        f.write(line)


def check(lab, wanted, since_mark=False, max_age_ms=5000):
    """{name: facts} of the guests named, or of all that ever sent a beat."""
    # The disks first: a beat that arrives meanwhile may be missing on the disk just read, never
    # the other way round.
    with open(lab.path("beats.log")) as f:
        seen = {line.split(" ", 1)[0] for line in f} - {"#"}
    chosen = wanted or [n for n in names(lab) if n in seen]
    with ThreadPoolExecutor(4) as pool:
        disks = dict(zip(chosen, pool.map(lambda n: read_disk(lab, load(lab, n)), chosen)))
    now = time.monotonic_ns()  # before the log: a slow reader makes nobody silent
    with open(lab.path("beats.log")) as f:
        arrivals, marked = beats.parse_log(f)
    if since_mark and marked is None:
        raise LabError("no mark yet; set one with: lab mark")
    return {n: beats.judge(disks[n], arrivals.get(n, []), now, marked if since_mark else None,
                           max_age_ms) for n in chosen}


def forget(lab, name):
    """A guest that runs nowhere any more: its image, its files, its beats. The next one of this name
    is another VM."""
    guest = load(lab, name)
    spec = f"{POOL}/{guest['image']}"

    def removed():  # a QEMU that was killed is seen as a watcher for up to 30 s
        got = lab.core(["rbd", "rm", "--no-progress", spec], cluster=guest["cluster"], check=False,
                       timeout=60)
        return got.returncode in (0, 2)
    wait_until(f"image {spec} to be removed", 45, removed, pause=1)
    with open(lab.path("beats.log"), "a") as f:
        f.write(f"# forget {name}\n")
    for end in (".xml", ".console", ".json"):
        if os.path.exists(lab.path("guests", name + end)):
            os.unlink(lab.path("guests", name + end))


def collector_up(lab):
    path = os.path.join(os.path.dirname(os.path.realpath(__file__)), "collector.py")
    log = lab.path("beats.log")
    lab.spawn("collector", ["/usr/bin/python3", "-B", path, CORE_IP, str(COLLECTOR_PORT), log])
    lab.wait_daemon("collector", 10, lambda: os.path.exists(log))
