"""What every part of the lab shares: names, paths, running commands with deadlines, processes."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
REPO = os.path.dirname(os.path.dirname(HERE))

NET = "10.77.0"
CORE_IP = NET + ".1"
COLLECTOR_PORT = 9999
SECRET_UUID = "e63e4b32-280e-4b00-982a-9d3859cf4699"
POOL = "vms"
MAX_HOSTS = 30          # 10.77.0.11 … .40
FIRST_GUEST_IP = 60     # 10.77.0.60 … .250
LAST_GUEST_IP = 250
PATIENCE = 5            # deadlines are what a quiet machine needs at most; others may be so much slower


class LabError(Exception):
    """A failure the user is told about in one message, without a traceback."""


def say(text):
    print(text, flush=True)


def host_ip(i):
    return f"{NET}.{10 + i}"


def tail(path, lines=12):
    try:
        with open(path, errors="replace") as f:
            text = f.readlines()[-lines:]
    except OSError:
        return f"(no log at {path})"
    return f"{path}:\n" + "".join("    " + line for line in text).rstrip()


@contextlib.contextmanager
def timed(what):
    """With LAB_TIMES set: what took over half a second is printed, to see where a scenario's time goes."""
    start = time.monotonic()
    try:
        yield
    finally:
        if "LAB_TIMES" in os.environ and time.monotonic() - start > 0.5:
            say(f"   {time.monotonic() - start:5.1f} s  {what}")


def run(cmd, timeout=30, check=True, stdin=None, env=None, binary=False):
    """Run to the end or to the deadline; returns CompletedProcess with both outputs.

    The command gets a process group of its own and the whole group dies at the deadline: nsenter
    into a pid namespace forks, and killing only nsenter would leave the command behind.
    """
    timeout *= PATIENCE
    p = subprocess.Popen(cmd, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                         text=not binary, start_new_session=True)
    try:
        with timed(" ".join(cmd)[-100:]):
            out, err = p.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        try:
            out, err = p.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out = err = b"" if binary else ""
        if check:
            raise LabError(f"no end after {timeout} s: {' '.join(cmd)}")
        return subprocess.CompletedProcess(cmd, -signal.SIGKILL, out, err)
    if check and p.returncode:
        text = err.decode(errors="replace") if binary else err
        raise LabError(f"exit {p.returncode}: {' '.join(cmd)}\n{text.strip()[-2000:]}")
    return subprocess.CompletedProcess(cmd, p.returncode, out, err)


def wait_until(what, seconds, probe, log=None, pause=0.1):
    """Call probe until it returns something true, and return that. The deadline ends a wait for what never comes;
    that something comes soon is no judgement that a slow machine could pass."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    with timed(what):
        while True:
            got = probe()
            if got:
                return got
            if time.monotonic() > end:
                raise LabError(f"{what}: not within {seconds} s" + (f"\n{tail(log)}" if log else ""))
            time.sleep(pause)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    tmp = f"{path}.tmp{os.getpid()}"
    with open(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        f.write(text)
    os.rename(tmp, path)


def read(path, default=None):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return default


def start_time(pid):
    """The start time of a process: with its pid it names one process for ever."""
    text = read(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split()[19] if text else None


def has_ended(pid):
    text = read(f"/proc/{pid}/stat")
    return text is None or text.rpartition(")")[2].split()[0] in "ZX"


class Lab:
    """One lab: its name, its folder and what `up` was asked for."""

    def __init__(self, name=None):
        self.name = name or os.environ.get("LAB", "lab")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", self.name):
            raise LabError(f"LAB={self.name}: 1 to 20 of a-z 0-9 - please")
        self.dir = f"/tmp/drover-{self.name}"
        self.core_ns = f"{self.name}-core"
        self.lock_socket = None

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def log(self, name):
        return self.path("log", name + ".log")

    # What `up` was asked for, and whether it came to its end.

    def config(self):
        text = read(self.path("lab.json"))
        if text is None:
            raise LabError(f"lab '{self.name}' is not up; start it with: lab up")
        return json.loads(text)

    def save_config(self, config):
        write(self.path("lab.json"), json.dumps(config, indent=1) + "\n")

    def hosts(self):
        return list(range(1, self.config()["hosts"] + 1))

    def host_number(self, name):
        m = re.fullmatch(r"h([1-9][0-9]?)", name)
        if not m or int(m.group(1)) not in self.hosts():
            raise LabError(f"no host '{name}' here; there are h1 … h{self.config()['hosts']}")
        return int(m.group(1))

    def lock(self, seconds=300):
        """One up, down or plug at a time. An abstract socket: it goes with its process."""
        self.lock_socket = socket.socket(socket.AF_UNIX)

        def take():
            try:
                self.lock_socket.bind(f"\0drover-lab-{self.name}")
                return True
            except OSError:
                return False
        wait_until(f"another 'lab' command holds lab '{self.name}'", seconds, take)

    # Namespaces.

    def host_ns(self, i):
        return f"{self.name}-h{i}"

    def ns_file(self, ns):
        return f"/run/netns/{ns}"

    def own_namespaces(self):
        pattern = re.compile(re.escape(self.name) + r"-(core|h[0-9]+)")
        try:
            return sorted(n for n in os.listdir("/run/netns") if pattern.fullmatch(n))
        except FileNotFoundError:
            return []

    def pids_in(self, ns):
        """Every process in one of the lab's network namespaces: the only ones it ever kills."""
        try:
            inode = os.stat(self.ns_file(ns)).st_ino
        except FileNotFoundError:
            return []
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}/ns/net").st_ino == inode and not has_ended(pid):
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def kill_ns(self, ns):
        """Kill all in a namespace, and again until nothing is left: a fork may race the listing."""
        def gone():
            left = self.pids_in(ns)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not left
        wait_until(f"processes in {ns} to die", 20, gone, pause=0.05)

    # Running things in the core: its network namespace only.

    def core_cmd(self, cmd):
        return ["nsenter", "--net=" + self.ns_file(self.core_ns), "--"] + cmd

    def core_env(self, cluster=1):
        return dict(os.environ, CEPH_CONF=self.path(ceph_dir(cluster), "ceph.conf"))

    def core(self, cmd, cluster=1, **kw):
        return run(self.core_cmd(cmd), env=self.core_env(cluster), **kw)

    def spawn(self, name, cmd, cluster=1):
        """Start a daemon in the core; remember which process it is."""
        log = self.log(name)
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "a") as out:
            p = subprocess.Popen(self.core_cmd(cmd), stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, env=self.core_env(cluster), start_new_session=True)
        write(self.path("run", name + ".pid"), f"{p.pid} {start_time(p.pid)}\n")
        return p

    def daemon_pid(self, name):
        """The pid of a daemon of the core that still lives, or None."""
        words = (read(self.path("run", name + ".pid")) or "").split()
        if len(words) == 2 and start_time(words[0]) == words[1] and not has_ended(words[0]):
            return int(words[0])
        return None

    def signal_daemon(self, name, sig):
        pid = self.daemon_pid(name)
        if pid is None:
            return False
        os.kill(pid, sig)
        return True

    def wait_daemon(self, name, seconds, probe):
        """Like wait_until, but a daemon that died ends the wait at once."""
        def alive_and():
            if self.daemon_pid(name) is None:
                raise LabError(f"{name} died while starting\n{tail(self.log(name))}")
            return probe()
        return wait_until(name, seconds, alive_and, self.log(name))


def ceph_dir(cluster):
    return "ceph" if cluster == 1 else f"ceph{cluster}"


def warn(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)
