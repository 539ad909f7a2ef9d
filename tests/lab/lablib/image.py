"""What the lab compiles and packs: PID 1 of a host, the guests' kernel and initramfs."""
import glob
import os
import re
import shutil

from .env import HERE, LabError, run, write

QEMU = "/usr/bin/qemu-system-x86_64"
KERNEL_ROOTS = ("/", "/var/lib/drover-lab")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "button", "evdev")
# Everything a short-lived guest under TCG can do without: the boot takes half the time.
CMDLINE = ("console=ttyS0 quiet panic=1 nokaslr mitigations=off audit=0 ipv6.disable=1 "
           "random.trust_cpu=on cryptomgr.notests no_timer_check noreplace-smp 8250.nr_uarts=1")


def compile_c(source, target, *kind):
    run(["gcc", *(kind or ("-static",)), "-O2", "-Wall", "-Wextra", "-Werror", "-o", target,
         os.path.join(HERE, source)], timeout=120)


def newest_kernel():
    """(root, version) of the newest cloud kernel: installed, or unpacked by deploy/deps.sh."""
    found = [(root, path) for root in KERNEL_ROOTS
             for path in glob.glob(os.path.join(root, "boot/vmlinuz-*cloud-amd64"))]
    if not found:
        raise LabError("no vmlinuz-*cloud-amd64 in /boot or below "
                       f"{KERNEL_ROOTS[-1]}: run deploy/deps.sh")

    def version(entry):
        return [int(n) for n in re.findall(r"[0-9]+", os.path.basename(entry[1]))]
    root, path = max(found, key=version)
    return root, os.path.basename(path).removeprefix("vmlinuz-")


def module_files(root, kernel):
    """The modules and what they need, in loading order."""
    files = []
    for name in MODULES:
        out = run(["modprobe", "-d", root, "-S", kernel, "--show-depends", name]).stdout
        files += [line.split()[1] for line in out.splitlines() if line.startswith("insmod")]
    return list(dict.fromkeys(files))


def cpio(entries):
    """A newc archive of (name, mode, bytes). Not compressed: unpacking costs more under TCG."""
    out = bytearray()

    def pad():
        out.extend(b"\0" * (-len(out) % 4))
    for number, (name, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        pad()
        out += data
        pad()
    return bytes(out)


def build(lab):
    """Compile and pack everything into the lab's folder."""
    d = lab.path("image")
    os.makedirs(d, exist_ok=True)
    compile_c("host/pid1.c", f"{d}/pid1")
    compile_c("host/qemu.c", f"{d}/qemu")
    compile_c("core/wall.c", f"{d}/wall.so", "-shared", "-fPIC")
    compile_c("guest/init.c", f"{d}/init")
    run(["strip", f"{d}/init"])
    root, kernel = newest_kernel()
    shutil.copyfile(os.path.join(root, f"boot/vmlinuz-{kernel}"), f"{d}/vmlinuz")
    modules = module_files(root, kernel)
    entries = [("dev", 0o040755, b""), ("proc", 0o040755, b""), ("modules", 0o040755, b"")]
    for path in modules:
        with open(path, "rb") as f:
            entries.append((f"modules/{os.path.basename(path)}", 0o100644, f.read()))
    order = "".join(os.path.basename(m) + "\n" for m in modules)
    entries.append(("modules/order", 0o100644, order.encode()))
    with open(f"{d}/init", "rb") as f:
        entries.append(("init", 0o100755, f.read()))
    with open(f"{d}/initrd", "wb") as f:
        f.write(cpio(entries))


def kvm_works(lab, seconds=4):
    """Whether a guest really runs under KVM. /dev/kvm may exist, open, and yet never run a guest
    (nested virtualisation), so only a kernel that reaches its init counts."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    d, console = lab.path("image"), lab.path("image", "kvm-probe.console")
    # In the core's namespace, where `lab down` finds it if this program is killed.
    out = lab.core(["timeout", "-k", "1", str(seconds), QEMU, "-accel", "kvm", "-cpu", "qemu64",
                    "-machine", "q35", "-m", "128", "-nodefaults", "-display", "none", "-no-reboot",
                    "-kernel", f"{d}/vmlinuz", "-initrd", f"{d}/initrd",
                    "-append", CMDLINE + " lab.probe", "-serial", "stdio"],
                   timeout=seconds + 5, check=False).stdout
    write(console, out)
    return "probe ok" in out
