"""The command line."""
import argparse
import json
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from . import drover, guest, image, net, pki, where
from .ceph import Ceph, ceph_dir
from .env import MAX_HOSTS, Lab, LabError, say, wait_until, warn
from .host import Host


ABOUT = """Real Ceph and real libvirt hosts in namespaces of one machine. The environment variable
LAB names the lab (default: lab); BIN the folder of Drover's programs."""


# up and down

def clean(lab):
    """Remove whatever is there of this lab, however far an earlier `up` came."""
    for ns in lab.own_namespaces():
        if ns != lab.core_ns:
            Host(lab, int(ns.rsplit("h", 1)[1])).unplug()
    if lab.core_ns in lab.own_namespaces():
        lab.kill_ns(lab.core_ns)
        net.delete_namespace(lab, lab.core_ns)
    shutil.rmtree(lab.dir, ignore_errors=True)
    if os.path.exists(lab.dir):
        raise LabError(f"cannot remove {lab.dir}")


def start_hosts(lab, hosts):
    for host in hosts:
        host.start_libvirtd()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Host.wait_libvirtd, hosts))
        list(pool.map(Host.learn_capabilities, hosts))


def cmd_up(lab, a):
    if not 1 <= a.hosts <= MAX_HOSTS:
        raise LabError(f"--hosts {a.hosts}: 1 to {MAX_HOSTS} please")
    if a.link:
        net.parse_rate(a.link)
    lab.lock()
    if os.path.exists(lab.path("lab.json")) and lab.config().get("ready"):
        say(f"lab '{lab.name}' is up already: {lab.config()['hosts']} hosts, {lab.dir}")
        return 0
    start = time.monotonic()
    clean(lab)
    os.makedirs(lab.dir, mode=0o755)
    config = {"hosts": a.hosts, "link": a.link, "transport": a.transport, "kvm": False,
              "drover": drover.built() and not a.no_drover, "ready": False}
    lab.save_config(config)
    image.build(lab)
    net.core_up(lab)
    with ThreadPoolExecutor(1) as pool:
        kvm = pool.submit(image.kvm_works, lab)
        Ceph(lab).up()
        config["kvm"] = kvm.result()
    lab.save_config(config)
    if a.transport == "tls":
        pki.make_ca(lab)
    hosts = [Host(lab, i) for i in lab.hosts()]
    for host in hosts:
        host.prepare(config)
        host.plug(config)
    start_hosts(lab, hosts)
    guest.collector_up(lab)
    Ceph(lab).wait_healthy()
    if config["drover"]:
        drover.up(lab, config)
    config["ready"] = True
    lab.save_config(config)
    say(f"lab '{lab.name}' is up in {time.monotonic() - start:.1f} s: {a.hosts} hosts, "
        f"{'kvm' if config['kvm'] else 'tcg'}, {a.transport}, link {a.link or 'not shaped'}, "
        f"drover {'runs' if config['drover'] else 'absent'}, {lab.dir}")
    return 0


def cmd_down(lab, a):
    lab.lock()
    there = lab.own_namespaces() or os.path.exists(lab.dir)
    clean(lab)
    say(f"lab '{lab.name}' is down" if there else f"lab '{lab.name}' was not up")
    return 0


def cmd_status(lab, a):
    config = lab.config()
    say(f"lab '{lab.name}' in {lab.dir}: {'ready' if config['ready'] else 'not ready'}, "
        f"{'kvm' if config['kvm'] else 'tcg'}, {config['transport']}, "
        f"link {config['link'] or 'not shaped'}")
    for name in sorted(os.listdir(lab.path("run"))):
        if name.endswith(".pid"):
            pid = lab.daemon_pid(name[:-4])
            say(f"  core {name[:-4]}: {f'pid {pid}' if pid else 'dead'}")
    for i in lab.hosts():
        host = Host(lab, i)
        if host.pid() is None:
            say(f"  h{i} {host.ip}: unplugged")
            continue
        daemons = [d for d in ("libvirtd", "agent") if host.daemon_lives(d)]
        got = host.virsh("list --name", check=False, timeout=10)
        running = "unknown" if got.returncode else ",".join(got.stdout.split()) or "none"
        say(f"  h{i} {host.ip}: pid {host.pid()}, link {net.link_state(lab, i)}, "
            f"{' '.join(daemons) or 'no daemon'}, guests {running}")
    return 0


# guests

def wish_of(a):
    keys = ("host", "mem", "fill", "dirty", "burn", "vcpus", "image", "size", "transient", "xml_only",
            "bridge", "machine", "local_qcow2", "cluster", "period", "io",
            "secret", "deaf")
    wish = {k: getattr(a, k) for k in keys if getattr(a, k) is not None}
    wish.update(name=a.name, define=not a.no_define, mon_hosts=not a.no_mon_hosts,
                start=not a.no_start, wait=not a.no_wait)
    for key in ("cdrom", "extra_device_xml"):
        if getattr(a, key):
            wish[key] = os.path.realpath(getattr(a, key))
    return wish


def cmd_guest(lab, a):
    return report_made(lab, guest.make(lab, [wish_of(a)]))


def cmd_guests(lab, a):
    with open(a.file) as f:
        wishes = json.load(f)
    if not isinstance(wishes, list):
        raise LabError(f"{a.file}: a list of objects please")
    return report_made(lab, guest.make(lab, wishes))


def report_made(lab, made):
    for name, seconds in made.items():
        g = guest.load(lab, name)
        if g["xml_only"]:
            say(lab.path("guests", name + ".xml"))
        else:
            say(f"{name}: {g['mem']} MiB on {g['host']}, "
                + (f"first beat after {seconds:.1f} s" if seconds else "no beat awaited"))
    return 0


def cmd_burn(lab, a):
    guest.burn(lab, a.name, a.percent)
    return 0


def cmd_beats(lab, a):
    facts = guest.check(lab, a.names, a.since_mark, a.max_age * 1000)
    if a.json:
        say(json.dumps(facts, indent=1))
    else:
        for name, f in facts.items():
            say(f"{name}: {f['beats']} beats, {f['boots']} boot{'s' * (f['boots'] != 1)}, "
                f"longest pause {f['longest_pause_ms']} ms (stopped {f['longest_stop_ms']} ms), "
                f"last {f['last_age_ms']} ms ago, unseen {f['unseen']}: "
                + ("intact" if f["intact"] else "; ".join(f["problems"])))
    return 0 if facts and all(f["intact"] for f in facts.values()) else 1


def cmd_mark(lab, a):
    lab.config()
    guest.mark(lab, " ".join(a.label))
    return 0


def cmd_where(lab, a):
    found = where.locate(lab, a.name)
    say(json.dumps(found, indent=1) if a.json else where.show(found))
    return 0


# faults

def cmd_unplug(lab, a):
    host = Host(lab, lab.host_number(a.host))
    lab.lock()
    host.unplug()
    return 0


def cmd_plug(lab, a):
    host, config = Host(lab, lab.host_number(a.host)), lab.config()
    lab.lock()
    if host.pid() is not None:
        say(f"{a.host} is up already")
        return 0
    host.unplug()  # what a host that crashed by itself may have left
    host.plug(config)
    start_hosts(lab, [host])
    if config["drover"]:
        drover.start_agent(host)
    return 0


def cmd_link(lab, a):
    i = lab.host_number(a.host)
    if net.link_state(lab, i) == "absent":
        raise LabError(f"{a.host} is unplugged")
    if a.what == "cut":
        if a.seconds is None:
            raise LabError("lab link hN cut SECONDS")
        net.link_set(lab, i, "down")
        try:
            time.sleep(a.seconds)
        finally:
            net.link_set(lab, i, "up")
    else:
        net.link_set(lab, i, a.what)
    return 0


def cmd_kill(lab, a):
    host = Host(lab, lab.host_number(a.host))
    if not host.daemon_lives(a.what):
        raise LabError(f"{a.what} does not run on {a.host}")
    host.kill(a.what)
    wait_until(f"{a.what} of {a.host} to die", 10, lambda: not host.daemon_lives(a.what))
    return 0


def cmd_libvirtd(lab, a):
    host = Host(lab, lab.host_number(a.host))
    host.start_libvirtd()
    host.wait_libvirtd()
    return 0


def need_drover(lab):
    if not lab.config()["drover"]:
        raise LabError(f"this lab was started without Drover (programs are looked for in "
                       f"{drover.bin_dir()})")


def cmd_agent(lab, a):
    need_drover(lab)
    drover.start_agent(Host(lab, lab.host_number(a.host)))
    return 0


def cmd_scheduler(lab, a):
    need_drover(lab)
    if a.what == "start":
        drover.start_scheduler(lab)
    else:
        drover.kill_scheduler(lab, signal.SIGTERM if a.what == "stop" else signal.SIGKILL)
    return 0


def cmd_ceph(lab, a):
    lab.config()
    ceph = Ceph(lab, a.cluster)
    ceph.pause(a.what == "pause")
    if a.what == "pause" and a.seconds is not None:
        try:
            time.sleep(a.seconds)
        finally:
            ceph.pause(False)
    return 0


def cmd_ceph2(lab, a):
    lab.config()
    second = Ceph(lab, 2)
    if a.what == "up":
        lab.lock()
        if lab.daemon_pid(second.daemon("mon.a")) is None:
            shutil.rmtree(second.dir, ignore_errors=True)
            second.up()
            second.wait_healthy()
        return 0
    if not a.host:
        raise LabError("lab ceph2 use hN [--cluster 1 to go back]")
    if a.cluster == 2 and not os.path.exists(lab.path(ceph_dir(2), "fsid")):
        raise LabError("there is no second cluster; start it with: lab ceph2 up")
    Host(lab, lab.host_number(a.host)).use_ceph(a.cluster)
    return 0


# running things inside

def replace(cmd, env=None):
    sys.stdout.flush()
    os.execvpe(cmd[0], cmd, env or os.environ)


def rest(a):
    words = a.words[1:] if a.words[:1] == ["--"] else a.words
    return words


def cmd_exec(lab, a):
    host = Host(lab, lab.host_number(a.host))
    if not rest(a):
        raise LabError("lab exec hN -- COMMAND …")
    replace(host.cmd(rest(a)))


def cmd_shell(lab, a):
    host = Host(lab, lab.host_number(a.host))
    replace(host.cmd(["bash"]), dict(os.environ, PS1=f"[{lab.name} {a.host} \\w]# "))


def cmd_core(lab, a):
    lab.config()
    replace(lab.core_cmd(rest(a) or ["bash"]), lab.core_env(a.cluster))


def cmd_drover(lab, a):
    need_drover(lab)
    replace([drover.program("drover"), "--socket", drover.socket_path(lab)] + rest(a))


def parser():
    top = argparse.ArgumentParser(prog="lab", description=ABOUT)
    sub = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, run, text):
        p = sub.add_parser(name, help=text, description=text)
        p.set_defaults(run=run)
        return p
    p = add("up", cmd_up, "start Ceph, the hosts and, where it is built, Drover")
    p.add_argument("--hosts", type=int, default=4)
    p.add_argument("--link", metavar="RATE", help="shape every host's link, e.g. 400mbit")
    p.add_argument("--transport", choices=("tls", "tcp"), default="tls")
    p.add_argument("--no-drover", action="store_true")
    add("down", cmd_down, "end all of it and leave nothing")
    add("status", cmd_status, "what runs")
    guest_parser(add)
    p = add("beats", cmd_beats, "check guests: exit 0 only if every one is intact")
    p.add_argument("names", nargs="*", metavar="NAME")
    p.add_argument("--json", action="store_true")
    p.add_argument("--since-mark", action="store_true")
    p.add_argument("--max-age", type=float, default=5, metavar="S",
                   help="silence that is a failure")
    p = add("mark", cmd_mark, "a point in time for beats --since-mark")
    p.add_argument("label", nargs="*")
    p = add("where", cmd_where, "on which hosts a guest is, and who watches and locks its image")
    p.add_argument("name")
    p.add_argument("--json", action="store_true")
    fault_parser(add)
    for name, run, text in (("exec", cmd_exec, "run a command in a host"),
                            ("shell", cmd_shell, "a shell in a host")):
        p = add(name, run, text)
        p.add_argument("host")
        if name == "exec":
            p.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    p = add("core", cmd_core, "run a command in the core, with CEPH_CONF set")
    p.add_argument("--cluster", type=int, choices=(1, 2), default=1)
    p.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    p = add("drover", cmd_drover, "the drover command against this lab's scheduler")
    p.add_argument("words", nargs=argparse.REMAINDER, metavar="-- ARGS …")
    return top


def guest_parser(add):
    p = add("guest", cmd_guest, "make a guest, start it and wait for its first beat")
    p.add_argument("name")
    p.add_argument("--host", default="h1")
    for option, kind, text in (("mem", int, "MiB"), ("fill", int, "MiB of incompressible memory"),
                               ("dirty", int, "KiB of it written anew per second"),
                               ("burn", int, "percent of one CPU, 90 at most"),
                               ("vcpus", int, ""), ("image", str, "default: its name"),
                               ("size", str, "of a new image, e.g. 64M"), ("bridge", str, ""),
                               ("machine", str, ""), ("period", int, "ms between beats"),
                               ("io", str, "of its RBD disk: threads, native"),
                               ("secret", str, "UUID of the libvirt secret with its key")):
        p.add_argument(f"--{option}", type=kind, help=text or None)
    p.add_argument("--cluster", type=int, choices=(1, 2))
    p.add_argument("--extra-device-xml", metavar="FILE")
    p.add_argument("--cdrom", metavar="ISO")
    for option, text in (("no-define", "it is defined already: only start it"),
                         ("transient", "without a persistent definition"),
                         ("xml-only", "only write its XML and print where"),
                         ("local-qcow2", "a second disk that is not shared"),
                         ("deaf", "it ignores the power button"),
                         ("no-mon-hosts", "librbd reads the host's ceph.conf"),
                         ("no-start", "define only"), ("no-wait", "do not wait for a beat")):
        p.add_argument(f"--{option}", action="store_true", help=text)
    p = add("burn", cmd_burn, "have a running guest burn so much CPU from now on")
    p.add_argument("name")
    p.add_argument("percent", type=int, help="of one CPU, 90 at most")
    p = add("guests", cmd_guests, "make the guests of a JSON list, the same keys as the options")
    p.add_argument("file")


def fault_parser(add):
    for name, run, text in (("unplug", cmd_unplug, "pull a host's plug"),
                            ("plug", cmd_plug, "bring it up again")):
        add(name, run, text).add_argument("host")
    p = add("link", cmd_link, "a host's link down, up, or down for some seconds")
    p.add_argument("host")
    p.add_argument("what", choices=("down", "up", "cut"))
    p.add_argument("seconds", type=float, nargs="?")
    p = add("kill", cmd_kill, "SIGKILL one daemon of a host")
    p.add_argument("host")
    p.add_argument("what", choices=("libvirtd", "agent"))
    for name, run in (("libvirtd", cmd_libvirtd), ("agent", cmd_agent)):
        p = add(name, run, f"start {name} again in a host")
        p.add_argument("host")
        p.add_argument("what", choices=("start",))
    p = add("scheduler", cmd_scheduler, "start, SIGTERM or SIGKILL the scheduler")
    p.add_argument("what", choices=("start", "stop", "kill"))
    p = add("ceph", cmd_ceph, "stop and continue all I/O of the cluster")
    p.add_argument("what", choices=("pause", "resume"))
    p.add_argument("--seconds", type=float)
    p.add_argument("--cluster", type=int, choices=(1, 2), default=1)
    p = add("ceph2", cmd_ceph2, "a second cluster with the same pool name, user and key")
    p.add_argument("what", choices=("up", "use"))
    p.add_argument("host", nargs="?")
    p.add_argument("--cluster", type=int, choices=(1, 2), default=2)


def main(argv):
    a = parser().parse_args(argv)
    try:
        if os.geteuid():
            raise LabError("the lab makes namespaces: run it as root")
        return a.run(Lab(), a)
    except LabError as e:
        warn(e)
        return 2
    except KeyboardInterrupt:
        return 130
