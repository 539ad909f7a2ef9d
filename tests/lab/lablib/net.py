"""The lab's network: a core namespace with a bridge, a namespace per host, shaped links."""
import os
import re

from .env import CORE_IP, NET, LabError, host_ip, run

# What a namespace needs before anything runs in it. IPv6 off: no router ever answers here, and
# address autoconfiguration of dozens of short-lived interfaces only costs CPU.
QUIET = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
CEPH_IPS = [f"{NET}.{n}" for n in (2, 3, 4, 5)]


def parse_rate(text):
    """'400mbit' → bits per second."""
    m = re.fullmatch(r"([0-9]+)\s*(k|m|g)bit", text.lower())
    if not m:
        raise LabError(f"--link {text}: write it like 400mbit, 1gbit")
    return int(m.group(1)) * {"k": 10**3, "m": 10**6, "g": 10**9}[m.group(2)]


def batch(ns, program, lines):
    """Several ip or tc commands in one process."""
    run([program, "-n", ns, "-batch", "-"], stdin="\n".join(lines) + "\n")


def add_namespace(ns):
    run(["ip", "netns", "add", ns])
    run(["ip", "netns", "exec", ns, "sysctl", "-q", "-w"] + QUIET, check=False)


def bridge(name, ips):
    return ([f"link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"]
            + [f"addr add {ip}/24 dev {name}" for ip in ips]
            + [f"link set {name} up", "link set lo up"])


def core_up(lab):
    add_namespace(lab.core_ns)
    batch(lab.core_ns, "ip", bridge("br0", [CORE_IP] + CEPH_IPS))


def host_up(lab, i, link):
    """A host's namespace and its cable to the core: eth0 here, v-hN there, both in a bridge br0."""
    ns = lab.host_ns(i)
    add_namespace(ns)
    batch(lab.core_ns, "ip", [f"link add v-h{i} type veth peer name eth0 netns {ns}",
                              f"link set v-h{i} master br0", f"link set v-h{i} up"])
    batch(ns, "ip", bridge("br0", [host_ip(i)]) + ["link set eth0 master br0", "link set eth0 up"])
    if link:
        shape(lab.core_ns, f"v-h{i}", parse_rate(link))
        shape(ns, "eth0", parse_rate(link))


def shape(ns, dev, rate):
    """A token bucket of 10 ms and at least two GSO packets, before a queue of 20 ms.

    A smaller bucket splits GSO packets and costs CPU; a longer queue would hide a migration's
    effect on the guests' own packets behind bufferbloat.
    """
    burst = max(rate // 8 // 100, 131072)
    batch(ns, "tc", [f"qdisc add dev {dev} root tbf rate {rate} burst {burst} latency 20ms"])


def unshape(ns, dev):
    batch(ns, "tc", [f"qdisc del dev {dev} root"])


def link_set(lab, i, state):
    batch(lab.core_ns, "ip", [f"link set v-h{i} {state}"])


def link_state(lab, i):
    show = ["ip", "-n", lab.core_ns, "-br", "link", "show", "dev", f"v-h{i}"]
    out = run(show, check=False).stdout
    return "absent" if not out else "down" if "DOWN" in out.split()[1:2] else "up"


def delete_namespace(lab, ns):
    if os.path.exists(lab.ns_file(ns)):
        run(["ip", "netns", "del", ns])
