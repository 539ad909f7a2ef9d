"""The classic recipe for one VM, as people follow it by hand, done by a drain."""
from lablib import guest
from lablib.host import Host

LAB = {"hosts": 2, "link": None, "transport": "tcp"}

LIBVIRTD = ["listen_tls = 0", "listen_tcp = 1", 'tcp_port = "16509"', 'listen_addr = "0.0.0.0"',
            'auth_tcp = "none"']
DISK = ["<driver name='qemu' type='raw' cache='none' io='native'", "<auth username='libvirt'>",
        "<secret type='ceph' uuid='e63e4b32-280e-4b00-982a-9d3859cf4699'/>",
        "<source protocol='rbd' name='vms/rbd_206_96'",
        "<host name='10.77.0.2' port='6789'/>", "<host name='10.77.0.3' port='6789'/>",
        "<host name='10.77.0.4' port='6789'/>"]
POLICY = """version: 1
migration:
  transport: tcp
  live: true
  persistent: true
  undefine_source: true
  abort_on_error: true
  compressed: true
"""


def scenario_rbdguest(s):
    """rbdguest on vms/rbd_206_96 over plain TCP: live, persistent, compressed, abort on error, undefined at the source."""
    for i in s.lab.hosts():
        conf = Host(s.lab, i).run(["cat", "/etc/libvirt/libvirtd.conf"]).stdout
        for line in LIBVIRTD:
            s.expect_in(line, conf, f"libvirtd.conf of h{i}")
    s.policy(POLICY)
    s.guests({"name": "rbdguest", "image": "rbd_206_96", "io": "native", "mem": 256, "fill": 128,
              "dirty": 1024})
    xml = s.virsh("h1", "dumpxml rbdguest").stdout
    for line in DISK:
        s.expect_in(line, xml, "the XML at the source")
    before = s.beats("rbdguest")["rbdguest"]

    out = s.drover("drain", "h1").stdout
    s.expect_in("1 of 1 VM moved live, 0 stopped", out)
    run_id = s.json("runs")["runs"][0]["id"]
    for flag in ("live", "persistent", "undefine source", "abort on error", "compressed", "tcp"):
        s.expect_in(flag, s.journal(run_id), "the journal")

    s.assert_on("rbdguest", "h2")
    s.expect(not s.virsh("h1", "list --all --name").stdout.split(), "h1 should know no domain")
    s.expect_in("Persistent:     yes", s.virsh("h2", "dominfo rbdguest").stdout)
    for kind in ("dumpxml rbdguest", "dumpxml --inactive rbdguest"):
        there = s.virsh("h2", kind).stdout
        for line in DISK:
            s.expect_in(line, there, kind)
    after = s.beats("rbdguest")["rbdguest"]
    s.expect(after["same_boot"] and after["last"] > before["last"], f"its uptime should go on: {after}")
    disk = guest.read_disk(s.lab, guest.load(s.lab, "rbdguest"))
    s.expect(disk[-1].boot == disk[0].boot and disk[-1].uptime_ns > disk[0].uptime_ns, "one boot, rising uptime")
