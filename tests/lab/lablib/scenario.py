"""What a scenario works with: the lab, the operator's command, guests, and judgements that fail.

A scenario is a function `scenario_<name>(s)` in tests/lab/scenarios/*.py; its docstring is the story.
It finds an empty fleet (all hosts up, no guests) and a default policy, and need not tidy up.
"""
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from . import drover, guest, where
from .env import PATIENCE, LabError, read, run, tail, wait_until, write
from .host import Host

ENDED = {"done", "partly", "refused", "cancelled", "failed", "planned", "expired"}


class Failed(AssertionError):
    """A judgement that did not hold."""


class Command:
    """The operator's command while it runs."""

    def __init__(self, lab, args):
        self.args = args
        self.out = tempfile.TemporaryFile("w+")
        self.err = tempfile.TemporaryFile("w+")
        self.p = subprocess.Popen([drover.program("drover"), "--socket", drover.socket_path(lab), *args],
                                  stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err)

    @staticmethod
    def text(stream):
        return os.pread(stream.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_text(self, needle, seconds=30):
        """Until it has said so, on either stream."""
        def said():
            ended, text = self.p.poll(), self.text(self.out) + self.text(self.err)
            if ended is not None and needle not in text:
                raise Failed(f"drover {' '.join(self.args)}: exit {ended} without '{needle}'\n{text}")
            return needle in text
        wait_until(f"drover {' '.join(self.args)} to say '{needle}'", seconds, said)

    def interrupt(self):
        self.p.send_signal(signal.SIGINT)

    def end(self, expect=0, timeout=180):
        """Its exit code must be `expect`; returns both outputs."""
        try:
            code = self.p.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.p.kill()
            code = f"none within {timeout * PATIENCE} s"
        out, err = self.text(self.out), self.text(self.err)
        if code != expect:
            raise Failed(f"drover {' '.join(self.args)}: exit {code}, expected {expect}\n{out}{err}")
        return out, err


class Scene:
    def __init__(self, lab):
        self.lab = lab
        self.made = []
        self.released = None       # the policy after `hold`
        self.before_policy = None  # the journal's number before one that the scheduler may not have seen

    # The operator's command.

    def drover(self, *args, expect=0, timeout=180):
        """Run the command; its exit code must be `expect` (a number, a tuple, or None for any)."""
        got = drover.cli(self.lab, list(args), check=False, timeout=timeout)
        wanted = (expect,) if isinstance(expect, int) else expect
        if wanted is not None and got.returncode not in wanted:
            raise Failed(f"drover {' '.join(args)}: exit {got.returncode}, expected {expect}\n"
                         f"{got.stdout}{got.stderr}")
        return got

    def begin(self, *args):
        """Start the command and let it run; see Command."""
        return Command(self.lab, args)

    def begin_core(self, *cmd):
        """Start a program in the core, with Ceph's configuration, and let it run; a Popen."""
        return subprocess.Popen(self.lab.core_cmd(list(cmd)), env=self.lab.core_env(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def json(self, *args):
        return json.loads(self.drover(*args, "-o", "json").stdout)

    def hosts(self):
        return {h["name"]: h for h in self.json("hosts")["hosts"]}

    def vms(self):
        return {v["name"]: v for v in self.json("vms")["vms"]}

    def run_view(self, run_id):
        return self.json("run", str(run_id))

    def start_drain(self, host, *args):
        """Begin a drain without following it; returns the run's number."""
        self.wait_policy()
        got = self.drover("drain", host, "--detach", "-o", "json", *args)
        return json.loads(got.stdout)["run"]

    def wait_run(self, run_id, states=None, seconds=180):
        """Wait until the run has ended (or is in one of `states`); returns its view."""
        states = {states} if isinstance(states, str) else set(states or ENDED)
        last = {}

        def there():
            got = drover.cli(self.lab, ["run", str(run_id), "-o", "json"], check=False, timeout=30)
            if got.returncode == 0:
                last.clear()
                last.update(json.loads(got.stdout))
            state = last.get("run", {}).get("state")
            if state in ENDED and state not in states:
                raise Failed(f"run/{run_id} ended {state}, expected {sorted(states)}: "
                             f"{last['run'].get('message')}\n{self.journal(run_id)}")
            return state in states
        try:
            wait_until(f"run/{run_id} to be {sorted(states)}", seconds, there, pause=0.3)
        except LabError as e:
            raise Failed(f"{e}\n{json.dumps(last.get('run', {}), indent=1)}\n"
                         f"{self.moves_text(last)}\n{self.journal(run_id)}") from e
        return last

    def moves_text(self, view):
        return "\n".join(f"  {m.get('vm_name')} {m.get('from')}→{m.get('to')} {m.get('state')} "
                         f"try {m.get('attempt')} {m.get('note') or ''} {m.get('error') or ''}"
                         for m in view.get("moves", []))

    def journal(self, run_id):
        got = drover.cli(self.lab, ["run", str(run_id), "--journal"], check=False, timeout=30)
        return got.stdout + got.stderr

    # Copies that do not end before the scenario says so. Nothing else keeps a move under way for as long as it takes
    # to break something: how long a copy takes, and how soon that is noticed, is up to the machine.

    def hold(self, text="version: 1\n", wait=True):
        """Put a policy in force with which moves copy at a crawl, 1 MiB/s: less than a guest writes whose `dirty` is
        2048. wait=False: for `start_drain` to await it, after the guests have been made."""
        self.released = text
        crawl = "migration: {bandwidth: 8Mbit"
        text = text.replace("migration: {", crawl + ", ") if "migration: {" in text else text + crawl + "}\n"
        self.policy(text, wait)

    def release(self, run_id):
        """The policy as given to `hold`, and what a run copies meanwhile goes on as fast as the link allows."""
        self.policy(self.released)
        for m in self.run_view(run_id)["moves"]:
            self.hasten(run_id, m["vm_name"])

    def hasten(self, run_id, name):
        """One copy that crawls; a speed that is set before it sends something is not for it."""
        def hastened():
            move = next(m for m in self.run_view(run_id)["moves"] if m["vm_name"] == name)
            if move["state"] not in ("copying", "uncertain"):
                return True
            job = self.virsh(move["from"], f"domjobinfo {name}", check=False).stdout
            if re.search(r"Memory processed: +(?!0\.000)", job):
                return self.virsh(move["from"], f"migrate-setspeed {name} {1 << 20}", check=False).returncode == 0
            return move["state"] == "uncertain"  # nobody has said yet that it has ended
        wait_until(f"the move of {name} to be hastened", 60, hastened)

    def wait_copying(self, run_id, count=1, seconds=90):
        """Wait until `count` moves really send memory; returns those moves."""
        found = []

        def flowing():
            view = self.run_view(run_id)
            found[:] = [m for m in view.get("moves", []) if m.get("state") == "copying"
                        and m.get("progress", {}).get("processed_bytes", 0) > 0]
            if len(found) < count and view["run"]["state"] in ENDED:
                raise Failed(f"run/{run_id} ended before {count} of its moves were seen to copy\n"
                             f"{self.moves_text(view)}\n{self.journal(run_id)}")
            return len(found) >= count
        wait_until(f"{count} moves of run/{run_id} to copy", seconds, flowing, pause=0.1)
        return found

    def copied(self, host, name):
        """When QEMU on `host` began to send `name` away, and was done; once each, as its log has them."""
        log = read(f"{Host(self.lab, self.lab.host_number(host)).dir}/var/log/libvirt/qemu/{name}.log")
        lines = log[log.rindex(": starting up "):].splitlines()  # it has those of earlier ones, too

        def once(text):
            found = [" ".join(line.split()[:2]) for line in lines if text in line]
            self.expect(len(found) == 1, f"the log of {name} on {host} has '{text}' {len(found)} times")
            return found[0]
        return once(": initiating migration"), once(": shutting down, reason=migrated")

    # What the scheduler was told, as its recorder wrote it down.

    def record(self):
        """[(µs of a clock that never jumps, line of JSON)], oldest first."""
        folder, found = self.lab.path("drover", "recorder"), []
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name)) as f:
                found += [(int(line[5:line.index(",")]), line) for line in f
                          if line.startswith('{"t":') and line.endswith("\n")]
        return found

    def recorded_us(self):
        """The time of the last line."""
        return self.record()[-1][0]

    def recorded(self, kind, after_us=0):
        """Messages of agents of that type as {wall (µs), host, body, …}."""
        return [json.loads(line) for t, line in self.record() if t > after_us and f'"type":"{kind}"' in line]

    # Guests.

    def guests(self, *wishes):
        """Make guests; a wish is a dict with at least name and host (see: lab guest --help)."""
        self.made += [w["name"] for w in wishes]
        guest.make(self.lab, [dict({"mem": 128}, **w) for w in wishes])
        names = {w["name"] for w in wishes if w.get("start", True) and not w.get("xml_only")}
        wait_until(f"Drover to know {sorted(names)}", 10,
                   lambda: all(self.vms().get(n, {}).get("state") == "running" for n in names),
                   pause=0.1)
        guest.mark(self.lab, "made")

    def virsh(self, host, command, check=True):
        return Host(self.lab, self.lab.host_number(host)).virsh(command, check=check, timeout=60)

    def host_run(self, host, cmd, check=True):
        return Host(self.lab, self.lab.host_number(host)).run(cmd, check=check, timeout=60)

    def remove(self, *names):
        """Wherever they are, and their images."""
        def clear(i):
            host = Host(self.lab, i)
            if host.pid() is None:
                return
            here = host.virsh("list --all --name", check=False, timeout=30).stdout.split()
            for name in [n for n in names if n in here]:
                host.virsh(f"destroy {name}", check=False, timeout=30)
                host.virsh(f"undefine {name} --managed-save", check=False, timeout=30)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(clear, self.lab.hosts()))
            list(pool.map(lambda n: guest.forget(self.lab, n), names))

    def beats(self, *names, since_mark=False):
        """Every named guest (default: all made) lived through it, and beats still; returns the facts."""
        guest.wait_beats(self.lab, names or self.made, seconds=60)
        facts = guest.check(self.lab, list(names or self.made), since_mark, max_age_ms=60000)
        for name, f in facts.items():
            if f.get("problems"):
                raise Failed(f"guest {name} is not intact: {f['problems']}\n{json.dumps(f, default=str)}")
        return facts

    def longest_pause_ms(self, *names):
        return max(f["longest_pause_ms"] for f in self.beats(*names, since_mark=True).values())

    def where(self, name):
        return where.locate(self.lab, name)

    def assert_on(self, name, host, others="absent", found=None):
        """It runs on `host` and nowhere else; only that host can write its image."""
        found = found or self.where(name)
        for h, state in found["hosts"].items():
            wanted = ("running",) if h == host else (others, "unplugged")
            if state not in wanted:
                raise Failed(f"{name} on {h}: {state}, expected {wanted}\n{where.show(found)}")
        owners = {w["host"] for w in found["watchers"]}
        if owners != {host} or (found["lock"] and found["lock"]["host"] != host):
            raise Failed(f"{name} should be written by {host} only\n{where.show(found)}")

    def place(self, *names):
        """{name: host} as libvirt says: each runs exactly once, and only that host can write its image."""
        got = {}
        for name, found in where.locate_all(self.lab, names).items():
            running = [h for h, st in found["hosts"].items() if st == "running"]
            if len(running) != 1:
                raise Failed(f"{name} runs on {running}, expected exactly one host")
            self.assert_on(name, running[0], found=found)
            got[name] = running[0]
        return got

    # The fleet.

    def policy(self, text, wait=True):
        """Put a policy in force and wait until the scheduler has taken or refused it; the same text again is no news.
        wait=False: wait_policy comes later."""
        self.wait_policy()
        if read(self.lab.path("policy", "drover.yaml")) != text or self.json("policy")["state"] != "in-force":
            self.before_policy = max([e["seq"] for e in self.json("journal", "--limit", "1")["entries"]], default=0)
            write(self.lab.path("policy", "drover.yaml"), text)
        if wait:
            self.wait_policy()

    def wait_policy(self):
        """Until the policy that was put there last has been looked at."""
        def looked_at():
            news = self.json("journal", "--after", str(self.before_policy))["entries"]
            return any(e["kind"] in ("policy.loaded", "policy.refused") for e in news)
        if self.before_policy is not None:
            wait_until("the scheduler to look at the policy", 15, looked_at, pause=0.1)
        self.before_policy = None

    def clock_ahead(self, minutes):
        """The scheduler's wall clock jumps."""
        drover.wall_ahead(self.lab, drover.wall_ahead_us(self.lab) + int(minutes * 60e6))

    @contextlib.contextmanager
    def agents(self, edit, undo, *hosts):
        """Agents (all, or of some hosts) whose agent.yaml is edited by sed, and at the end as it was."""
        hosts = [Host(self.lab, i) for i in self.lab.hosts() if not hosts or f"h{i}" in hosts]

        def restart(script):
            for h in hosts:
                h.run(["sed", "-i", script, "/etc/drover/agent.yaml"])
                h.kill("agent")
            for h in hosts:
                wait_until(f"the agent of {h.name} to die", 10, lambda h=h: not h.daemon_lives("agent"))
                drover.start_agent(h)
            self.all_connected()
        restart(edit)
        try:
            yield
        finally:
            restart(undo)

    def now(self):
        """The scheduler's wall clock, in seconds."""
        return time.time() + drover.wall_ahead_us(self.lab) / 1e6

    def next_minute(self, ahead=3, step=1):
        """The scheduler's wall clock jumps to shortly before its next full minute (or the next that `step` divides)."""
        now, every = self.now(), 60 * step
        jump = (now // every + 1) * every - ahead - now
        self.clock_ahead(max(0, jump) / 60)

    def reset(self):
        for run_id in [r["id"] for r in self.json("runs").get("runs", []) if r["state"] not in ENDED]:
            self.drover("cancel", str(run_id), expect=None)
            self.wait_run(run_id)
        self.policy("version: 1\n", wait=False)
        self.remove(*dict.fromkeys(self.made))
        self.made.clear()
        self.wait_policy()
        for name, h in self.hosts().items():
            if h["state"] != "up":
                self.drover("resume", name)
        drover.wall_ahead(self.lab, 0)

    def lab_do(self, *args):
        """A command of `lab`: kill h1 agent, link h2 down, …"""
        from . import main  # it imports most of this package
        if main.main([str(a) for a in args]):
            raise LabError(f"lab {' '.join(map(str, args))} failed")

    def all_connected(self, seconds=60):
        wanted = {f"h{i}" for i in self.lab.hosts()}
        wait_until("all agents to be connected", seconds,
                   lambda: {n for n, h in self.hosts().items() if h.get("connected")} >= wanted,
                   pause=0.3)

    def expect(self, condition, text):
        if not condition:
            raise Failed(text)

    def expect_in(self, needle, text, about="the output"):
        if needle not in text:
            raise Failed(f"'{needle}' is not in {about}:\n{text}")

    def diagnosis(self):
        parts = []
        logs = sorted(os.listdir(self.lab.path("log")))
        for name in [n for n in logs if "drover" in n]:
            parts.append(f"--- {name}\n{tail(self.lab.path('log', name), 25)}")
        for i in self.lab.hosts():
            parts.append(f"--- h{i} agent\n{tail(drover.agent_log(Host(self.lab, i)), 15)}")
        return "\n".join(parts)


def say_time(start):
    return f"{time.monotonic() - start:.1f} s"


__all__ = ["Scene", "Command", "Failed", "run", "say_time"]
