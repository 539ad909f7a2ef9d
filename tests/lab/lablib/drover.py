"""Drover itself in the lab: certificates, configuration, the scheduler in the core, an agent in
each host. Does nothing while its programs are not built."""
import json
import os
import signal
import socket
import struct

from .env import CORE_IP, REPO, LabError, has_ended, run, tail, wait_until, write
from .host import Host
from .net import parse_rate

PROGRAMS = ("drover", "drover-agent", "drover-scheduler")
PORT = 7440
CONNECTED_DEADLINE = 60


def bin_dir():
    return os.environ.get("BIN") or os.path.join(REPO, "build", "plain", "bin")


def program(name):
    return os.path.join(bin_dir(), name)


def built():
    return all(os.access(program(p), os.X_OK) for p in PROGRAMS)


def socket_path(lab):
    return lab.path("drover", "api.sock")


def prepare(lab, config):
    """Certificates and configuration files."""
    pki = lab.path("pki")
    run([program("drover"), "pki", "init", "--dir", pki])

    def issue(role, name, out, *extra):
        os.makedirs(out, mode=0o700, exist_ok=True)
        run([program("drover"), "pki", "issue", "--dir", pki, role, "--name", name, *extra,
             "--out", out])
    d = lab.path("drover")
    issue("scheduler", "scheduler", f"{d}/tls", "--san", CORE_IP)
    os.makedirs(f"{d}/recorder", exist_ok=True)
    write(lab.path("policy", "drover.yaml"), "version: 1\n")
    write(f"{d}/scheduler.yaml", f"""listen: {CORE_IP}:{PORT}
socket: {socket_path(lab)}
database: {d}/drover.db
policy: {lab.path('policy')}
cert: {d}/tls/cert.pem
key: {d}/tls/key.pem
ca: {d}/tls/ca.pem
recorder: {d}/recorder
""")
    for i in lab.hosts():
        host = Host(lab, i)
        issue("agent", host.name, f"{host.dir}/etc/drover/tls")
        write(f"{host.dir}/etc/drover/agent.yaml", agent_yaml(host, config))


def agent_yaml(host, config):
    link = ""
    if config["link"]:
        link = f", link: {parse_rate(config['link']) // 10**6}Mbit"
    load = f"load: {{period: 2s, cgroup: {host.dir}/cgroup}}\n" if host.cgroup() else ""
    return f"""scheduler: {CORE_IP}:{PORT}
cert: /etc/drover/tls/cert.pem
key: /etc/drover/tls/key.pem
ca: /etc/drover/tls/ca.pem
libvirt: qemu:///system
migration: {{address: {host.ip}, uri: "qemu+{config['transport']}://{host.name}/system"{link}}}
{load}labels: {{}}
"""


def start_scheduler(lab):
    if lab.daemon_pid("drover-scheduler") is None:
        wall_ahead(lab, wall_ahead_us(lab))
        lab.spawn("drover-scheduler", ["env", f"LD_PRELOAD={lab.path('image', 'wall.so')}",
                                       f"LAB_WALL={lab.path('drover', 'wall')}",
                                       program("drover-scheduler"), "--config",
                                       lab.path("drover", "scheduler.yaml")])
    lab.wait_daemon("drover-scheduler", 20, lambda: accepts(socket_path(lab)))


def accepts(path):
    """Whether somebody listens there; the file itself survives a SIGKILL."""
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return True
        except OSError:
            return False


def wall_ahead_us(lab):
    """By how much the scheduler's wall clock is ahead of the machine's."""
    try:
        with open(lab.path("drover", "wall"), "rb") as f:
            return struct.unpack("=q", f.read(8))[0]
    except FileNotFoundError:
        return 0


def wall_ahead(lab, us):
    """Set that clock, at once; the file is mapped by the scheduler, so it is written in place."""
    fd = os.open(lab.path("drover", "wall"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.pwrite(fd, struct.pack("=q", us), 0)
    os.close(fd)


def kill_scheduler(lab, sig=signal.SIGKILL):
    pid = lab.daemon_pid("drover-scheduler")
    if pid is None:
        raise LabError("drover-scheduler does not run")
    os.kill(pid, sig)
    wait_until("drover-scheduler to die", 10, lambda: has_ended(pid))


def agent_log(host):
    return host.lab.log(host.name + "-agent")


def start_agent(host):
    if not host.daemon_lives("agent"):
        host.spawn("agent", [program("drover-agent"), "--config", "/etc/drover/agent.yaml"])


def cli(lab, args, **kw):
    """The operator's command against this lab's scheduler."""
    return run([program("drover"), "--socket", socket_path(lab), *args], **kw)


def connected(lab):
    """The names of the hosts whose agent is connected."""
    got = cli(lab, ["hosts", "-o", "json"], check=False, timeout=10)
    try:
        hosts = json.loads(got.stdout)
    except ValueError:
        return set()
    hosts = hosts.get("hosts", []) if isinstance(hosts, dict) else hosts
    return {h.get("name") for h in hosts if h.get("connected") is True}


def up(lab, config):
    prepare(lab, config)
    start_scheduler(lab)
    hosts = [Host(lab, i) for i in lab.hosts()]
    for host in hosts:
        start_agent(host)
    wait_connected(lab, hosts)


def wait_connected(lab, hosts):
    missing = {h.name: h for h in hosts}

    def all_there():
        for name in connected(lab):
            missing.pop(name, None)
        for host in missing.values():
            if not host.daemon_lives("agent"):
                raise LabError(f"drover-agent of {host.name} died\n{tail(agent_log(host))}")
        return not missing
    try:
        wait_until("agents to connect", CONNECTED_DEADLINE, all_there, pause=0.3)
    except LabError as e:
        logs = [lab.log("drover-scheduler")] + [agent_log(h) for h in missing.values()][:2]
        raise LabError(f"{e}; missing: {', '.join(missing)}\n" + "\n".join(map(tail, logs)))
