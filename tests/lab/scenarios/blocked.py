"""VMs that cannot leave: each is named with the reasons of each host before anything moves, and none is
stopped unless a word named it."""
import contextlib
import json
import uuid

from lablib import guest, image
from lablib.ceph import Ceph
from lablib.env import POOL, LabError, wait_until, write
from lablib.scenario import Failed

TARGETS = ("h2", "h3", "h4")
OTHER_SECRET = "7d0b1f6e-3c52-4a5e-9c1e-0d6a4b8f2a11"
GIB, MIB = 1 << 30, 1 << 20
ROOM = 2 * GIB  # what each host may hold in these scenarios

# VM -> (code, of the VM itself or of each target)
BLOCKED = {
    "files": ("local_disk", None),      # a second disk, qcow2, on the host
    "iso": ("local_media", None),       # a CD-ROM drive with a medium
    "share": ("host_device", None),     # a folder of the host
    "paused": ("vm_paused", None),      # virsh suspend
    "flighty": ("transient", None),     # virsh create
    "bridged": ("bridge", TARGETS),     # br7, which only h1 has
    "secret": ("secret", TARGETS),      # its key: without value on h2, not defined on h3 and h4
    "trap": ("cluster_differs", TARGETS),  # no monitors in its XML, another cluster in their ceph.conf
    "fat": ("memory", TARGETS),         # larger than any host may hold
    "apart": ("anti_affinity", TARGETS),
    "twin": ("name_taken", TARGETS),    # each has another VM of this name
}
MOVABLE = ("goes-1", "goes-2")
OFF = "gpu"  # shut off, with a PCI device: stays, and keeps nobody from working on the host


# ---- what stands in the way ---------------------------------------------------------------------------

def other_domain(s, name, *, start):
    """A domain without disks, not made by the lab: only its name and its presence matter. Path of its XML."""
    kind = "kvm" if s.lab.config()["kvm"] else "qemu"
    path = s.lab.path("others", f"{name}-{uuid.uuid4()}.xml")
    write(path, f"""<domain type='{kind}'>
  <name>{name}</name>
  <uuid>{uuid.uuid4()}</uuid>
  <memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices><emulator>{image.QEMU}</emulator><controller type='usb' model='none'/></devices>
</domain>
""")
    return f"create --paused {path}" if start else f"define {path}"


def define_secret(s, host, with_value):
    path = s.lab.path("others", "secret.xml")
    write(path, f"""<secret ephemeral='no' private='no'>
  <uuid>{OTHER_SECRET}</uuid>
  <usage type='ceph'><name>another client.libvirt secret</name></usage>
</secret>
""")
    s.virsh(host, f"secret-define {path}")
    if with_value:
        s.virsh(host, f"secret-set-value {OTHER_SECRET} {Ceph(s.lab).user_key()}")


def second_cluster(s, image_name):
    """The trap: another cluster with the same pool, user and key, and in it an image of the same name."""
    s.lab_do("ceph2", "up")
    s.lab.core(["rbd", "create", f"{POOL}/{image_name}", "--size", "64M"], cluster=2, timeout=60)
    for h in TARGETS:
        s.lab_do("ceph2", "use", h)


@contextlib.contextmanager
def obstacles(s):
    """All that is not a guest, and its end: other scenarios find the hosts as they were."""
    br7 = ("ip link add br7 type bridge forward_delay 0 && ip link set br7 up && "
           "ip link add to-br7 type veth peer name to-br0 && ip link set to-br7 master br0 && "
           "ip link set to-br0 master br7 && ip link set to-br7 up && ip link set to-br0 up")
    try:
        s.host_run("h1", ["sh", "-c", br7])
        define_secret(s, "h1", True)
        define_secret(s, "h2", False)
        for h in TARGETS:
            s.virsh(h, other_domain(s, f"apart-{h}", start=True))
        second_cluster(s, "trap")
        yield
    finally:
        s.host_run("h1", ["sh", "-c", "ip link del to-br7; ip link del br7"], check=False)
        for h in ("h1", "h2"):
            s.virsh(h, f"secret-undefine {OTHER_SECRET}", check=False)
        for h in TARGETS:
            s.virsh(h, "undefine twin", check=False)
            s.virsh(h, f"destroy apart-{h}", check=False)
            s.lab_do("ceph2", "use", h, "--cluster", "1")
        s.virsh("h1", f"undefine {OFF}", check=False)


def policy_text(s):
    """Room for some small VMs and for no large one; the line of the rule is part of the reasons."""
    reserve = max(h["mem_bytes"] for h in s.hosts().values()) - ROOM
    return f"""version: 1
capacity: {{memory: {{reserve: {reserve // MIB}MiB}}}}
rules:
  - name: keep-apart
    anti_affinity: {{vms: {{names: ["apart*"]}}, across: host}}
    hard: true
"""


def make_guests(s):
    share, iso = s.lab.path("others", "share.xml"), s.lab.path("others", "install.iso")
    write(share, "    <filesystem type='mount' accessmode='mapped'>\n      <source dir='/srv'/>\n"
          "      <target dir='share'/>\n    </filesystem>\n")
    write(iso, "not much of a medium\n")
    special = {
        "files": {"local_qcow2": True}, "iso": {"cdrom": iso}, "share": {"extra_device_xml": share}, "paused": {},
        "flighty": {"transient": True}, "bridged": {"bridge": "br7"}, "secret": {"secret": OTHER_SECRET},
        "trap": {"mon_hosts": False}, "fat": {"mem": ROOM // MIB}, "apart": {}, "twin": {},
    }
    s.guests(*[dict({"name": n, "host": "h1"}, **more) for n, more in special.items()],
             *[{"name": n, "host": "h1"} for n in MOVABLE])
    device = ("<hostdev mode='subsystem' type='pci' managed='yes'><source>"
              "<address domain='0x0000' bus='0x65' slot='0x00' function='0x0'/></source></hostdev></devices>")
    path = other_domain(s, OFF, start=False).split()[1]
    with open(path) as f:
        text = f.read()
    write(path, text.replace("</devices>", device))
    s.virsh("h1", f"define {path}")
    s.virsh("h1", "suspend paused")
    for h in TARGETS:
        s.virsh(h, other_domain(s, "twin", start=False))


def wait_inventory(s):
    """Until the agents have told all of it."""
    def told():
        vms = s.vms()
        s.expect(vms["paused"]["state"] == "paused", f"paused: {vms['paused']}")
        s.expect(len([v for v in s.json("vms")["vms"] if v["name"] == "twin"]) == 4, "the twins are not known")
        s.expect(OFF in vms and {f"apart-{h}" for h in TARGETS} <= set(vms), f"known: {sorted(vms)}")
        s.expect(set(blockers(s, "secret").values()) == {"secret"}, f"secret: {blockers(s, 'secret')}")
    soon("the agents to have told all of it", 30, told)


def soon(what, seconds, judge):
    """Until the judgement holds; says at the end why it did not."""
    last = []

    def holds():
        try:
            judge()
            return True
        except (Failed, KeyError) as e:
            last[:] = [e]
            return False
    try:
        wait_until(what, seconds, holds, pause=0.5)
    except LabError as e:
        raise Failed(f"{e}: {last[0]}") from e


def blockers(s, name):
    """{host: code} by `drover explain`."""
    return {h["host"]: h["reason"]["code"] for h in s.json("explain", f"{name}@h1")["hosts"]
            if not h["here"] and not h["allowed"]}


# ---- what is said about it -------------------------------------------------------------------------------

def assert_reasons(s, stays):
    """Every blocked VM with the right reason, the host-bound ones for each host; nobody else."""
    named = {st["name"]: st for st in stays}
    s.expect(set(named) == set(BLOCKED) | {OFF}, f"named: {sorted(named)}")
    for name, (code, hosts) in BLOCKED.items():
        got = {(r["code"], r.get("host")) for r in named[name]["reasons"]}
        wanted = {(code, h) for h in hosts} if hosts else {(code, None)}
        s.expect(got == wanted, f"{name}: {sorted(got, key=str)}, expected {sorted(wanted, key=str)}")
        s.expect(not named[name]["off"] and not named[name]["stopped"], f"{named[name]}")
        for r in named[name]["reasons"]:
            s.expect(r.get("cure"), f"{name}: no way out is named: {r}")
    s.expect(named[OFF]["off"] and named[OFF]["reasons"][0]["code"] == "host_device", f"{named[OFF]}")
    reasons = {n: {r.get("host"): r for r in st["reasons"]} for n, st in named.items()}
    for name, host, key, needle in (
            ("files", None, "what", "vdb"), ("files", None, "have", "files-local.qcow2"),
            ("iso", None, "have", "install.iso"), ("share", None, "what", "filesystem device /srv"),
            (OFF, None, "what", "pci device 0000:65:00.0"), ("bridged", "h3", "need", "br7"),
            ("secret", "h2", "have", "value cannot be read"), ("secret", "h3", "have", "none"),
            ("secret", "h4", "need", OTHER_SECRET), ("trap", "h2", "need", Ceph(s.lab).fsid()),
            ("trap", "h2", "have", Ceph(s.lab, 2).fsid()), ("apart", "h4", "what", "keep-apart"),
            ("apart", "h4", "have", "apart-h4"), ("twin", "h2", "need", "twin")):
        s.expect_in(needle, str(reasons[name][host].get(key)), f"{name} on {host}: {key}")
    s.expect(reasons["apart"]["h2"]["where"].endswith("drover.yaml:4"), f"{reasons['apart']['h2']}")
    for h in TARGETS:
        r = reasons["fat"][h]
        s.expect(r["need_n"] >= ROOM > r["have_n"] >= 0, f"fat: {r}")


def assert_text(s, text):
    """The same, for people."""
    for needle in (
            "vm/files", "a disk is local to its host (disk vdb): needs RBD, has file /var/lib/libvirt/images/",
            "vm/iso", "medium is local to its host", "vm/share", "a host device is attached (filesystem device /srv)",
            "vm/paused", "it is paused", "vm/flighty", "it is transient", "vm/bridged",
            "a bridge is missing (bridge br7)", "vm/secret", "the Ceph secret is missing or has no usable value",
            "vm/trap", "the host sees another Ceph cluster", "vm/fat", "not enough memory: needs",
            "vm/apart", "an anti-affine VM is there", "drover.yaml:4", "vm/twin", "another domain has this name",
            "ways out:", "--on-blocked leave", "drain the other 2"):
        s.expect_in(needle, text)
    for line in ("h2, h3, h4: a bridge is missing", "h2, h3, h4: the host sees another Ceph cluster"):
        s.expect_in(line, text)


def assert_explained(s):
    """`drover explain` and `drover vms` say the same as the drain."""
    vms = s.vms()
    for name, (code, hosts) in BLOCKED.items():
        if hosts:
            s.expect(blockers(s, name) == {h: code for h in hosts}, f"{name}: {blockers(s, name)}")
            continue
        shown = s.json("explain", f"{name}@h1")["vm"]
        s.expect(not shown["movable"] and shown["blocker"]["code"] == code, f"{name}: {shown}")
        s.expect(not vms[name]["movable"] and vms[name]["blocker"]["code"] == code, f"{name}: {vms[name]}")
    got = s.drover("explain", "twin", expect=6)
    s.expect_in("write twin@HOST", got.stderr)
    for name in MOVABLE:
        s.expect(vms[name]["movable"] and not blockers(s, name), f"{name} should be free to go: {blockers(s, name)}")


def assert_as_before(s, others):
    """Nothing has moved, stopped, or been left behind."""
    host = s.hosts()["h1"]
    s.expect((host["state"], host["run"]) == ("up", 0), f"h1 is {host}")
    for name in list(BLOCKED) + list(MOVABLE):
        state = s.virsh("h1", f"domstate {name}").stdout.strip()
        s.expect(state == ("paused" if name == "paused" else "running"), f"{name} is {state} on h1")
    s.expect(domains(s) == others, f"the other hosts know {domains(s)}, before {others}")
    busy = [r for r in s.json("runs")["runs"] if r["state"] in ("planning", "running", "cancelling")]
    s.expect(not busy, f"runs are left: {busy}")


def domains(s):
    return {h: sorted(s.virsh(h, "list --all --name").stdout.split()) for h in TARGETS}


def scenario_reasons(s):
    """Twelve ways not to be movable: dry run, refusal, and a drain that leaves them and moves the rest."""
    s.policy(policy_text(s), wait=False)
    with s.agents("$a resync: 2s", "$d", *TARGETS), obstacles(s):  # they see soon that their ceph.conf has changed
        make_guests(s)
        s.wait_policy()
        wait_inventory(s)
        others, alive = domains(s), [n for n in list(BLOCKED) + list(MOVABLE) if n != "paused"]

        got = s.drover("drain", "h1", "--dry-run", "-o", "json", expect=3)
        view = json.loads(got.stdout)
        assert_reasons(s, view["run"]["stays"])
        s.expect({m["vm_name"] for m in view["moves"]} == set(MOVABLE), f"{view['moves']}")
        s.expect(view["run"]["state"] == "planned" and view["run"]["blocked"] == len(BLOCKED), f"{view['run']}")
        text = s.drover("plan", "drain", "h1", expect=3).stdout
        assert_text(s, text)
        s.expect_in("Plan: 2 moves, 11 blocked, 0 stopped", text)
        assert_as_before(s, others)

        got = s.drover("drain", "h1", expect=3)
        assert_text(s, got.stdout + got.stderr)
        s.expect_in("host/h1 not drained: 11 of 13 VMs cannot leave; nothing was moved, the host is up as before",
                    got.stdout + got.stderr)
        run = s.json("runs")["runs"][0]
        s.expect((run["state"], run["moved"], run["blocked"]) == ("refused", 0, 11), f"{run}")
        assert_reasons(s, s.run_view(run["id"])["run"]["stays"])
        assert_as_before(s, others)
        s.beats(*alive)
        # The drain had asked Ceph itself; what agents report of their hosts agrees with the next comparison.
        soon("the inventory to agree", 30, lambda: assert_explained(s))

        got = s.drover("drain", "h1", "--on-blocked", "leave", "-m", "what can go", expect=4)
        run = s.json("runs")["runs"][0]
        s.expect((run["state"], run["moved"], run["blocked"], run["stopped"]) == ("partly", 2, 11, 0), f"{run}")
        assert_reasons(s, s.run_view(run["id"])["run"]["stays"])
        for needle in ("partly drained: 2 of 13 VMs moved live", "11 VMs stay:", "drover resume h1 opens it",
                       "vm/bridged", "a bridge is missing"):
            s.expect_in(needle, got.stdout + got.stderr)
        host = s.hosts()["h1"]
        s.expect(host["state"] == "cordoned" and host["running"] == 11, f"{host}")
        place = s.place(*MOVABLE)
        s.expect("h1" not in place.values(), f"{place}")
        for name in BLOCKED:
            state = s.virsh("h1", f"domstate {name}").stdout.strip()
            s.expect(state == ("paused" if name == "paused" else "running"), f"{name} is {state} on h1")
        s.virsh("h1", "resume paused")
        s.beats()


# ---- stopping VMs ----------------------------------------------------------------------------------------

def console(s, name):
    with open(s.lab.path("guests", name + ".console"), errors="replace") as f:
        return f.read()


def off_by_itself(s, name):
    """Its guest has shut down: it saw the power button, and libvirt does not say destroyed."""
    s.expect(s.virsh("h1", f"domstate {name} --reason").stdout.split() == ["shut", "off", "(shutdown)"],
             s.virsh("h1", f"domstate {name} --reason").stdout)
    s.expect_in("power button", console(s, name), "its console")
    found = s.where(name)
    s.expect(not found["watchers"] and not found["lock"], f"{name}'s image is still open: {found}")


def scenario_shutdown(s):
    """VMs are stopped only by a word that covers them; a guest that does not obey runs on, never destroyed."""
    s.policy("version: 1\ndrain: {shutdown_timeout: 20s}\n", wait=False)  # a guest takes half a second
    s.guests({"name": "files", "local_qcow2": True}, {"name": "deaf", "local_qcow2": True, "deaf": True},
             {"name": "goes"})
    s.wait_policy()

    def untouched(*words, code):
        got = s.drover("drain", "h1", *words, expect=code)
        for n in ("files", "deaf", "goes"):
            s.expect(s.virsh("h1", f"domstate {n}").stdout.strip() == "running", f"{n} after {words}")
        s.expect(s.hosts()["h1"]["state"] == "up", "h1 is closed")
        return got.stdout + got.stderr
    s.expect_in("patterns stop nobody", untouched("--allow-shutdown", "vm/*", code=64))
    s.expect_in("confirm it with --confirm=h1", untouched("--on-blocked", "shutdown", code=6))
    s.expect_in("does not name the host", untouched("--on-blocked", "shutdown", "--confirm", "h2", code=6))
    text = untouched("--allow-shutdown", "vm/files", code=3)
    s.expect_in("1 of 3 VMs cannot leave; nothing was moved", text)
    s.expect_in("--allow-shutdown vm/deaf", text)
    text = untouched("--dry-run", "--on-blocked", "shutdown", code=0)
    s.expect_in("would be shut off:", text)
    s.expect_in("Plan: 1 move, 0 blocked, 2 stopped", text)

    got = s.drover("drain", "h1", "--on-blocked", "shutdown", "--confirm=h1", expect=4)
    run = s.json("runs")["runs"][0]
    s.expect((run["state"], run["moved"], run["stopped"], run["blocked"]) == ("partly", 1, 1, 1), f"{run}")
    journal = s.journal(run["id"])
    s.expect_in("vm/files is shut off", journal)
    s.expect_in("vm/deaf was asked to shut down, and did not", journal)
    s.expect_in("it was asked to shut down, as allowed: the guest did not shut down within 20 s", got.stdout + got.stderr)
    s.expect(s.hosts()["h1"]["state"] == "cordoned", f"{s.hosts()['h1']}")
    off_by_itself(s, "files")
    s.expect(s.virsh("h1", "domstate deaf").stdout.strip() == "running" and s.place("goes")["goes"] != "h1",
             "deaf should run on h1, goes elsewhere")
    s.beats("deaf", "goes")

    # The one word for the one VM; what it wrote is all there when it comes back.
    s.drover("resume", "h1")
    s.remove("deaf")
    s.made.remove("deaf")
    s.virsh("h1", "start files")
    guest.wait_beats(s.lab, ["files"])
    soon("Drover to know", 10, lambda: s.expect(s.vms()["files"]["state"] == "running", "files is not running"))
    got = s.drover("drain", "h1", "--allow-shutdown", "vm/files")
    s.expect_in("1 stopped", got.stdout)
    s.expect_in("shut off now, as allowed:", got.stdout)
    s.expect(s.hosts()["h1"]["state"] == "maintenance", f"{s.hosts()['h1']}")
    off_by_itself(s, "files")
    facts = guest.check(s.lab, ["files"])["files"]
    s.expect((facts["boots"], facts["lost"], facts["disordered"]) == (2, 0, 0), f"{facts}")
    s.beats("goes")


def scenario_cold(s):
    """A VM whose live copy does not end is stopped, moved and started, if a word named it; the others move live."""
    # busy writes ten times as fast as the link carries; idle is through before the time for both is up.
    policy = "version: 1\nmigration: {timeout: 1h/GiB, retries: 0, auto_converge: false}\n"
    s.policy(policy, wait=False)
    s.guests({"name": "busy", "mem": 224, "fill": 128, "dirty": 512 << 10}, {"name": "idle"})
    s.wait_policy()
    s.expect_in("confirm it with --confirm=h1",
                s.drover("drain", "h1", "--on-blocked", "cold", expect=6).stderr)

    def drain(*words, code):
        """When idle has arrived and busy copies, the time is up."""
        s.policy(policy)
        command = s.begin("drain", "h1", *words)
        command.wait_text("following run/")
        run_id = s.json("runs")["runs"][0]["id"]
        wait_until("idle to arrive", 60, lambda: s.vms()["idle"]["host"] != "h1")
        s.wait_copying(run_id)
        s.policy(policy.replace("1h", "1s"))
        return command.end(code)
    s.expect_in("did not converge", "".join(drain("--on-blocked", "leave", code=4)))
    s.expect(s.place("busy", "idle")["busy"] == "h1", "busy is no longer on h1")
    s.beats("busy", "idle")
    s.policy(policy)
    s.drover("resume", "h1", "--bring-home")
    s.expect(s.place("idle")["idle"] == "h1", "idle is not at home")

    out, _ = drain("--on-blocked", "cold", "--allow-shutdown", "vm/busy", code=0)
    run = s.json("runs")["runs"][0]
    s.expect((run["state"], run["stopped"], run["blocked"]) == ("done", 1, 0), f"{run}")
    s.expect_in("1 moved cold (stopped, moved, started)", out)
    s.expect_in("no live try is left", s.journal(run["id"]))
    place = s.place("busy", "idle")
    s.expect("h1" not in place.values(), f"{place}")
    s.expect_in("power button", console(s, "busy"), "its console")
    guest.wait_beats(s.lab, ["busy"])
    facts = guest.check(s.lab, ["busy"])["busy"]
    s.expect((facts["boots"], facts["lost"], facts["disordered"], facts["repeated"]) == (2, 0, 0, 0), f"{facts}")
    s.beats("idle")
