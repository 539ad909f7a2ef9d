"""A libvirt host: own net, mount, uts, ipc and pid namespaces, own /etc, /var and /run.

/etc, /var and /usr/bin are overlays over the machine's own, so that nothing of the machine is
changed and a host may keep its own passwd, hosts, machine-id, libvirt state, logs. They survive
`unplug`, like a disk; /run does not.
"""
import glob
import os
import shutil
import signal
import stat

from . import image, net, pki
from .ceph import Ceph
from .env import (MAX_HOSTS, SECRET_UUID, LabError, has_ended, host_ip, read, run, start_time, tail,
                  wait_until, write)

LIBVIRTD_DEADLINE = 60

# A daemon sees what systemd would give it, not the shell of whoever runs the lab.
CLEAN_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "LANG": "C.UTF-8"}

SETUP = """mount --make-rprivate /
# Else this host would pin the namespaces of every lab of the machine after their end.
umount -l -R /run/netns 2>/dev/null || true
mount --bind /usr/bin/qemu-system-x86_64 {dir}/qemu
for d in etc var bin; do
    target=/$d
    [ $d != bin ] || target=/usr/bin
    mount -t overlay overlay -o lowerdir=$target,upperdir={dir}/$d,workdir={dir}/$d.work $target
done
{real_qemu}mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/libvirt
{cgroup}mount -t proc proc /proc
mount -t sysfs sysfs /sys
# Each host boots by itself, though all share one kernel.
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
{no_kvm}hostname h{i}
touch {dir}/ready
"""

# An empty file, read-only: root must not be able to open it for writing. With /dev/null in the
# place of /dev/kvm libvirt believes that KVM has just become usable and runs its probe of QEMU
# again before each define and start, six seconds each time.
NO_KVM = """if [ -e /dev/kvm ]; then
    mount --bind {dir}/nothing /dev/kvm
    mount -o remount,bind,ro /dev/kvm
fi
"""

# Hosts share one kernel, whose /proc/stat is of all of them: what runs in a host is in a cgroup of its
# own, and the agent measures that.
CGROUP = """mkdir -p {dir}/cgroup
mount --bind {cgroup} {dir}/cgroup
"""

# host/qemu.c says why. The real one stays in /usr/bin, because QEMU looks for its firmware and
# modules relative to where it lies.
REAL_QEMU = "mount --bind {dir}/qemu /usr/bin/qemu-system-x86_64.real\n"

QEMU_CONF = """user = "root"
group = "root"
swtpm_user = "root"
swtpm_group = "root"
security_driver = "none"
namespaces = []
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
stdio_handler = "file"
migration_address = "0.0.0.0"
migrate_tls_x509_verify = 1
"""


class Host:
    def __init__(self, lab, i):
        self.lab = lab
        self.i = i
        self.name = f"h{i}"
        self.dir = lab.path(self.name)
        self.ip = host_ip(i)

    # Its PID 1, as seen from outside.

    def pid(self):
        words = (read(f"{self.dir}/pid") or "").split()
        if len(words) == 2 and start_time(words[0]) == words[1] and not has_ended(words[0]):
            return int(words[0])
        return None

    def cmd(self, cmd):
        pid = self.pid()
        if pid is None:
            raise LabError(f"{self.name} is unplugged")
        return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "--"] + cmd

    def run(self, cmd, **kw):
        return run(self.cmd(cmd), **kw)

    def virsh(self, command, **kw):
        return self.run(["virsh", "-q", "-c", "qemu:///system", command], **kw)

    # Files.

    def prepare(self, config):
        """Everything below the host's own /etc and /var. Once in the life of a lab."""
        etc, libvirt = f"{self.dir}/etc", f"{self.dir}/etc/libvirt"
        for sub in ("etc.work", "var.work", "bin.work", "bin", "var/lib/libvirt/images",
                    "var/log/libvirt", "var/cache/libvirt", "etc/drover", "etc/pki"):
            os.makedirs(f"{self.dir}/{sub}", exist_ok=True)
        self.prepare_emulators(config)
        tls = config["transport"] == "tls"
        write(f"{libvirt}/libvirtd.conf", f"""listen_tls = {int(tls)}
listen_tcp = {int(not tls)}
tcp_port = "16509"
listen_addr = "0.0.0.0"
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid = "00000000-0000-4000-8000-{self.i:012d}"
log_outputs = "3:file:{self.lab.log(self.name + '-libvirtd')}"
""")
        write(f"{libvirt}/qemu.conf", QEMU_CONF)
        write(f"{etc}/hosts", "127.0.0.1 localhost\n" + "".join(
            f"{host_ip(n)} h{n}\n" for n in range(1, MAX_HOSTS + 1)))
        write(f"{etc}/hostname", self.name + "\n")
        write(f"{etc}/machine-id", f"{self.i:032d}\n")
        self.add_user(etc)
        # libvirtd reads secrets from its folder when it starts; this spares two virsh calls.
        key = Ceph(self.lab).user_key()
        write(f"{libvirt}/secrets/{SECRET_UUID}.xml", f"""<secret ephemeral='no' private='no'>
  <uuid>{SECRET_UUID}</uuid>
  <usage type='ceph'><name>client.libvirt secret</name></usage>
</secret>
""", 0o600)
        write(f"{libvirt}/secrets/{SECRET_UUID}.base64", key, 0o600)
        self.use_ceph(1)
        if tls:
            pki.issue(self.lab, self.i, etc)

    def prepare_emulators(self, config):
        for name in ("qemu", "nothing"):
            write(f"{self.dir}/{name}", "")
        # Whiteouts: libvirt would run each emulator that it finds to learn what it can do.
        for path in glob.glob("/usr/bin/qemu-system-*"):
            if path != image.QEMU:
                os.mknod(f"{self.dir}/bin/{os.path.basename(path)}", stat.S_IFCHR, 0)
        if not config["kvm"]:
            shutil.copy(self.lab.path("image", "qemu"), f"{self.dir}/bin/qemu-system-x86_64")
            write(f"{self.dir}/bin/qemu-system-x86_64.real", "")

    @staticmethod
    def add_user(etc):
        """libvirtd does not load its QEMU driver where the user libvirt-qemu is unknown."""
        for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/bin/false\n"),
                           ("group", "libvirt-qemu:x:64055:\n")):
            text = read(f"/etc/{name}", "")
            if "\nlibvirt-qemu:" not in text:
                write(f"{etc}/{name}", text + line)

    def use_ceph(self, cluster):
        conf = Ceph(self.lab, cluster).host_conf()
        if self.pid() is None:
            write(f"{self.dir}/etc/ceph/ceph.conf", conf)
        else:  # what is written below a mounted overlay is not seen through it
            self.run(["sh", "-c", "cd /etc/ceph && cat >new && mv new ceph.conf"], stdin=conf)

    # Life.

    def cgroup(self):
        """The folder of its cgroup (v2), or None where the machine has none."""
        for line in (read("/proc/mounts") or "").splitlines():
            kind, where, fs = line.split()[:3]
            if fs == "cgroup2":
                return f"{where}/drover-{self.lab.name}-{self.name}"
        return None

    def plug(self, config):
        """Bring the machine up, without its daemons."""
        net.host_up(self.lab, self.i, config["link"])
        ready, log = f"{self.dir}/ready", self.lab.log(self.name + "-pid1")
        if os.path.exists(ready):
            os.unlink(ready)
        tcg, cgroup = not config["kvm"], self.cgroup()
        if cgroup:
            os.makedirs(cgroup, exist_ok=True)
        write(f"{self.dir}/setup.sh", SETUP.format(
            dir=self.dir, i=self.i, no_kvm=NO_KVM.format(dir=self.dir) if tcg else "",
            cgroup=CGROUP.format(dir=self.dir, cgroup=cgroup) if cgroup else "",
            real_qemu=REAL_QEMU.format(dir=self.dir) if tcg else ""))
        os.makedirs(self.lab.path("log"), exist_ok=True)
        pid = run([self.lab.path("image", "pid1"), self.lab.ns_file(self.lab.host_ns(self.i)),
                   f"{self.dir}/setup.sh", log]).stdout.strip()
        write(f"{self.dir}/pid", f"{pid} {start_time(pid)}\n")

        def is_ready():
            if self.pid() is None:
                raise LabError(f"{self.name} died while starting\n{tail(log)}")
            return os.path.exists(ready)
        wait_until(f"{self.name} to come up", 15, is_ready, log, pause=0.02)

    def unplug(self):
        """The plug, not a shutdown: the cable first, so that no dying process sends a FIN or an RST
        that a machine without power could not send."""
        ns = self.lab.host_ns(self.i)
        if self.lab.core_ns in self.lab.own_namespaces():
            run(["ip", "-n", self.lab.core_ns, "link", "del", f"v-h{self.i}"], check=False)
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        self.lab.kill_ns(ns)
        net.delete_namespace(self.lab, ns)
        self.leave_cgroup()

    def leave_cgroup(self):
        """Those that were killed are in it until they are reaped."""
        cgroup = self.cgroup()

        def removed():
            try:
                os.rmdir(cgroup)
            except OSError:
                return not os.path.exists(cgroup)
            return True
        if cgroup and os.path.exists(cgroup):
            wait_until(f"the cgroup of {self.name} to be empty", 10, removed)

    def spawn(self, name, cmd):
        """Start a daemon in the host; it becomes a child of the host's PID 1."""
        script = ('[ ! -e "$CGROUP" ] || echo 0 >"$CGROUP"; '
                  'setsid "$@" >>"$LOG" 2>&1 </dev/null & echo $! >/run/lab-$NAME.pid')
        env = dict(CLEAN_ENV, CGROUP=f"{self.dir}/cgroup/cgroup.procs", LOG=self.lab.log(f"{self.name}-{name}"), NAME=name)
        self.run(["sh", "-c", script, "sh"] + cmd, env=env)

    def kill(self, name):
        self.run(["sh", "-c", f"kill -9 $(cat /run/lab-{name}.pid)"])

    def daemon_lives(self, name):
        test = f"kill -0 $(cat /run/lab-{name}.pid) 2>/dev/null"
        return self.pid() is not None and self.run(["sh", "-c", test], check=False).returncode == 0

    def start_libvirtd(self):
        if not self.daemon_lives("libvirtd"):
            self.spawn("libvirtd", ["libvirtd", "--listen"])

    def wait_libvirtd(self):
        """Until it answers, knows its emulator and has the secret."""
        log = self.lab.log(self.name + "-libvirtd")

        def answers():
            if not self.daemon_lives("libvirtd"):
                raise LabError(f"libvirtd of {self.name} died\n{tail(log)}")
            return self.virsh(f"secret-get-value {SECRET_UUID}", check=False,
                              timeout=10).returncode == 0
        wait_until(f"libvirtd of {self.name}", LIBVIRTD_DEADLINE, answers, log)

    def learn_capabilities(self):
        """Have libvirt probe its emulator now; else the first guest pays for it. Where the other
        emulators and a broken /dev/kvm are hidden this takes 0.4 s: no cache is passed around."""
        self.virsh("domcapabilities --virttype " + ("kvm" if self.lab.config()["kvm"] else "qemu"),
                   timeout=90)
