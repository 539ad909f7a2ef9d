"""What a scheduler is fed by mistake or malice: each time a line that says what, where and what to do, and
nothing lost. The rest of the fleet goes on as if nothing had been said."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import time

from lablib import drover
from lablib.env import PATIENCE, tail, wait_until, write
from lablib.host import Host
from lablib.peer import Peer, Pki

HEARTBEAT_S = 5
FRAME_LIMIT = 4 << 20
NO_HELLO = "no hello within 10 s"


# ---- what all of them use ------------------------------------------------------------------------------

class Log:
    """What a daemon has written since this was made."""

    def __init__(self, path):
        self.path = path
        self.start = os.path.getsize(path)

    def text(self):
        with open(self.path, errors="replace") as f:
            f.seek(self.start)
            return f.read()

    def wait(self, *needles, seconds=10):
        """Until one line holds all of them; returns that line."""
        found = []

        def there():
            found[:] = [line for line in self.text().splitlines() if all(n in line for n in needles)]
            return found
        wait_until(f"a line with {needles} in {self.path}", seconds, there, self.path)
        return found[0]


def scheduler_log(s):
    return Log(s.lab.log("drover-scheduler"))


class Api(http.client.HTTPConnection):
    """The scheduler's API itself, below the operator's command."""

    def __init__(self, s):
        super().__init__("localhost", timeout=30 * PATIENCE)
        self.path = drover.socket_path(s.lab)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None, headers=None):
        """(status, JSON)"""
        try:
            self.request(method, path, body, headers or {})
            got = self.getresponse()
            text = got.read()
        finally:
            self.close()
        return got.status, json.loads(text)


def health(s):
    return Api(s).ask("GET", "/v1/health")[1]


def checks(s):
    return {c["name"]: c for c in health(s)["checks"]}


def facts(s):
    """What must not change by a refusal."""
    hosts = {n: (h["state"], h["connected"]) for n, h in s.hosts().items()}
    vms = {n: (v["uuid"], v["host"], v["state"]) for n, v in s.vms().items()}
    return hosts, vms, [(r["id"], r["state"]) for r in s.json("runs")["runs"]], health(s)["term"]


@contextlib.contextmanager
def unchanged(s):
    """The scheduler lives, and knows and has decided the same as before."""
    pid, before = s.lab.daemon_pid("drover-scheduler"), facts(s)
    yield
    s.expect(s.lab.daemon_pid("drover-scheduler") == pid, "the scheduler has died")
    after = facts(s)
    s.expect(before == after, f"before {before}\nafter {after}")


def pki(s):
    return Pki(s.lab, s.lab.path("certificates"))


# ---- words ---------------------------------------------------------------------------------------------

def scenario_words(s):
    """Unknown hosts, VMs, runs, verbs and options are named, with what was meant; nothing is begun."""
    s.guests({"name": "web", "host": "h1"})
    cases = [
        (6, "drain hh1", "no host 'hh1'; did you mean 'h1'"),
        (6, "drain h1 --to h22", "no host 'h22'; did you mean 'h2'"),
        (6, "drain h1 --avoid h0", "no host 'h0'"),
        (6, "drain h1 --allow-shutdown vm/wep", "no such VM on host/h1; did you mean 'web'"),
        (64, "drain h1 --allow-shutdown vm/*", "patterns stop nobody; name each VM"),
        (6, "cordon host/kvm-07", "no host 'kvm-07'"),
        (6, "resume h9", "no host 'h9'"),
        (6, "cancel 99", "no run/99; `drover runs` lists them"),
        (6, "run 99", "no run/99"),
        (6, "explain wen", "no VM 'wen'; did you mean 'web'"),
        (6, "hosts h11", "no host is called 'h11'; did you mean h1?"),
        (6, "vms --host h11", "no host is called 'h11'; did you mean h1?"),
        (3, "check h9", "UNKNOWN - host/h9: no host 'h9'"),
        (64, "drian h1", "unknown command 'drian'; did you mean drover drain?"),
        (64, "plan drian h1", "'drian' cannot be planned; drain HOST..., failover HOST..., balance"),
        (64, "plan fit --memory 1GiB", "a fleet to plan for is missing"),
        (64, "drain", "a host is missing"),
        (6, "drain h1 hh2", "no host 'hh2'; did you mean 'h2'"),
        (64, "drain vm/web", "'vm/web' is not a host"),
        (64, "drain h1 --dryrun", "unknown option '--dryrun'; did you mean --dry-run?"),
        (64, "drain h1 --force", "there is no --force"),
        (64, "drain h1 --on-blocked leav", "did you mean leave?"),
        (64, "drain h1 --to h1", "--to h1 is the host being drained"),
        (64, "drain h1 --parallel 0", "out of range"),
        (64, "drain h1 --deadline 5x", "'5x' is not a duration such as 90s"),
        (6, "drain h1 --on-blocked shutdown", "confirm it with --confirm=h1"),
        (6, "drain h1 --on-blocked shutdown --confirm=h2", "does not name the host to be drained"),
    ]
    with unchanged(s):
        for code, words, needle in cases:
            got = s.drover(*words.split(), expect=code)
            s.expect_in(needle, got.stdout + got.stderr, f"drover {words}")
        request(s, b"{", 400, "bad_json", "line 1")
        request(s, b"[]", 400, "bad_json", "JSON object")
        request(s, b'{"host":"h1"}', 400, "bad_member", "verb")
        request(s, b'{"verb":"drian","host":"h1"}', 400, "bad_member", "verb")
        request(s, b'{"verb":"drain","host":"h1","dryrun":true}', 400, "unknown_member",
                'did you mean "dry_run"?')
        request(s, b'{"verb":"drain","host":"h1","parallel":"all"}', 400, "bad_member", "parallel")
        request(s, b'{"verb":"drain","host":"h1","allow_shutdown":["*"]}', 404, "unknown_vm", "no such VM")
        request(s, b'{"verb":"drain","host":"h1","reason":"' + b"x" * (2 << 20) + b'"}', 413, None, None)
        status, answer = Api(s).ask("GET", "/v1/hots")
        s.expect(status == 404 and "no such path" in answer["message"], f"{status} {answer}")
        status, answer = Api(s).ask("DELETE", "/v1/hosts")
        s.expect(status in (405, 501), f"{status} {answer}")
        key = {"Idempotency-Key": "once"}
        status, answer = Api(s).ask("POST", "/v1/requests", b'{"verb":"cancel","run":98}', key)
        s.expect(status == 404, f"{status} {answer}")
        status, answer = Api(s).ask("POST", "/v1/requests", b'{"verb":"cancel","run":97}', key)
        s.expect(status == 422 and answer["code"] == "key_reused", f"{status} {answer}")
    s.assert_on("web", "h1")


def request(s, body, status, code, needle):
    try:
        got, answer = Api(s).ask("POST", "/v1/requests", body)
    except (BrokenPipeError, ConnectionResetError):  # refused before it was sent to the end
        s.expect(status == 413, f"cut off: {body[:80]}")
        return
    s.expect(got == status and (code is None or answer["code"] == code) and
             (needle is None or needle in answer["message"]), f"{body[:80]}: {got} {answer}")


# ---- who connects --------------------------------------------------------------------------------------

def scenario_certificates(s):
    """Plaintext, no certificate, another CA's, an expired one, another role's, another host's: refused by name."""
    p, log = pki(s), scheduler_log(s)
    strange = p.issue("agent", "h1", ca=p.stranger(), label="stranger-h1")
    cases = [  # certificate, what the log says, what the peer is told
        (None, ["the peer showed no certificate"], "certificate required"),
        (strange, ["which is not our CA", "CN=h1"], "unknown ca"),
        (p.expired("agent", "h1"), ["CN=h1 expired on", "drover pki issue"], "certificate expired"),
        (p.issue("operator", "bob"), ["certificate of 'bob' has the role operator", "agent is expected"],
         "has the role operator"),
        (p.issue("scheduler", "other"), ["certificate of 'other' has the role scheduler"], "role scheduler"),
    ]
    with unchanged(s):
        with Peer(s.lab, None, handshake=False) as peer:
            peer.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            peer.last_words()
            log.wait(peer.address(), "agent connection refused", "does not speak TLS: is it the wrong port?")
        for cert, logged, told in cases:
            with Peer(s.lab, cert) as peer:
                words = peer.last_words()
                s.expect(told in words[1], f"{cert}: told {words}, expected '{told}'")
                log.wait(peer.address(), "agent connection refused", *logged)
        # A certificate of ours, and the name of another host: the certificate is the identity.
        with Peer(s.lab, p.issue("agent", "h1")) as peer:
            peer.hello("h2")
            s.expect(peer.last_words() == ("identity", "hello names host 'h2', the certificate names 'h1'; "
                                           "issue a certificate for this host: drover pki issue agent "
                                           "--name h2"), "a hello of another host's name")
            log.wait(peer.address(), "code=identity", "hello names host 'h2', the certificate names 'h1'")
        operators(s, p, strange)
    twins(s, log)


def operators(s, p, strange):
    """The command over TLS, where the API listens: it says whose fault it is."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(second_scheduler(s, "tls", api="{listen: '10.77.0.1:7449'}"))

        def over(cert, *words):
            cmd = [drover.program("drover"), "--url", "https://10.77.0.1:7449", "--ca",
                   s.lab.path("pki", "ca.pem"), "--cert", f"{cert}/cert.pem", "--key", f"{cert}/key.pem"]
            got = s.lab.core(cmd + list(words), check=False, timeout=30)
            return got.returncode, got.stdout + got.stderr
        for cert, code, needle in ((p.issue("operator", "bob"), 0, "HOST"), (p.issue("viewer", "eve"), 0, "HOST"),
                                   (strange, (5, 6), "certificate"), (p.issue("agent", "h1"), (5, 6), "")):
            got = over(cert, "hosts")
            s.expect(got[0] in (code if isinstance(code, tuple) else (code,)) and needle in got[1], f"{cert}: {got}")
        got = over(p.issue("viewer", "eve"), "cordon", "h1")
        s.expect(got[0] == 6 and "may only look" in got[1], f"a viewer that acts: {got}")


def twins(s, log):
    """h3's agent with the certificate of h2, as a cloned disk has it: h2 stays what it was."""
    s.guests({"name": "two", "host": "h2"}, {"name": "three", "host": "h3"})
    h3, own, others = Host(s.lab, 3), "/etc/drover/tls", f"{Host(s.lab, 2).dir}/etc/drover/tls"
    h3.run(["mv", own, own + ".own"])
    try:
        h3.run(["cp", "-r", others, own])
        s.lab_do("kill", "h3", "agent")
        drover.start_agent(h3)
        log.wait(h3.ip, "code=identity", "'h2' is connected from 10.77.0.12:", "another machine",
                 "drover pki issue agent --name HOST", seconds=20)
        wait_until("the agent of h3 to say why", 10, lambda: "each host needs a certificate of its own" in
                   tail(drover.agent_log(h3)), pause=0.2)
        hosts, vms = s.hosts(), s.vms()
        s.expect(hosts["h2"]["connected"] and not hosts["h3"]["connected"], f"{hosts}")
        s.expect(vms["two"]["host"] == "h2" and not vms["two"]["unreachable"], f"{vms['two']}")
        s.expect(vms["three"]["host"] == "h3" and vms["three"]["unreachable"], f"{vms['three']}")
    finally:
        h3.run(["rm", "-r", own])
        h3.run(["mv", own + ".own", own])
        s.lab_do("kill", "h3", "agent")
        drover.start_agent(h3)
    s.all_connected()
    s.beats("two", "three")


# ---- what they say -------------------------------------------------------------------------------------

def scenario_frames(s):
    """Frames that are malformed, oversized, too deep, of another version or not an agent's; and silence."""
    log, cert = scheduler_log(s), pki(s).issue("agent", "h4")
    s.guests({"name": "four", "host": "h4"})
    s.lab_do("kill", "h4", "agent")
    wait_until("h4's agent to be gone", 10, lambda: not s.hosts()["h4"]["connected"])
    silent, since = [Peer(s.lab, None, handshake=False), Peer(s.lab, cert)], time.monotonic()

    hello = {"proto_min": 1, "proto_max": 1, "host": "h4", "instance": "00"}
    vm = {"uuid": "u", "name": "n", "state": "running"}
    before = [  # (what is sent, code and part of the bye) as a first message
        (lambda c: c.send_bytes(b"\0\0\0\0"), "protocol", "frame of length 0"),
        (lambda c: c.send_bytes(struct.pack(">I", FRAME_LIMIT + 1)), "protocol",
         f"frame of {FRAME_LIMIT + 1} bytes, the limit is {FRAME_LIMIT}"),
        (lambda c: c.send_bytes(b"\xff\xff\xff\xff" + b"x" * 65536), "protocol", "frame of 4294967295 bytes"),
        (lambda c: c.send_frame("hello"), "protocol", "not JSON: line 1 column"),
        (lambda c: c.send_frame(b'{"v":1,"type":"\xff"}'), "protocol", "not JSON: line 1 column"),
        (lambda c: c.send_frame('{"v":1,"v":1,"type":"hello","body":{}}'), "protocol", "not JSON"),
        (lambda c: c.send_frame("[" * 100000), "protocol", "maximum parsing depth"),
        (lambda c: c.send_frame("[]"), "protocol", "a message must be an object"),
        (lambda c: c.send("hello", hello, v=2), "version", "frame of version 2, this side reads 1"),
        (lambda c: c.hello("h4", proto_min=7, proto_max=9), "version",
         "speaks protocol 7 to 9, scheduler"),
        (lambda c: c.send("dance", {}), "protocol", 'type: unknown message "dance"'),
        (lambda c: c.send("hello", {}), "protocol", "message hello: proto_min: is missing"),
        (lambda c: c.send("hello", dict(hello, proto_min="one")), "protocol", "proto_min: expected an integer"),
        (lambda c: c.send("hello", dict(hello, host="h4" * 200)), "identity", "the certificate names 'h4'"),
        (lambda c: c.send("report", {"seq": 1, "full": True}), "protocol", "the first message must be a hello"),
    ]
    after = [  # the same, after a good hello
        (lambda c: c.send("hello", hello), "protocol", "an agent may not send 'hello'"),
        (lambda c: c.send("migrate", {"term": 1, "job": 1, "attempt": 1, "vm": "u", "dst_uri": "x"}), "protocol",
         "an agent may not send 'migrate'"),
        (lambda c: c.send("report", {"seq": 2, "full": True}), "protocol", "report.seq: 2 where 1 was due"),
        (lambda c: c.send("report", {"seq": 1, "has_host": True, "host": {"name": "h1"}}), "protocol",
         "report.host.name: 'h1' on a connection of host 'h4'"),
        (lambda c: c.send("report", {"seq": 1, "full": True, "vms": [{"uuid": "u", "name": "n"}]}), "protocol",
         "vms[0].state: is missing"),
        (lambda c: c.send("report", {"seq": 1, "full": True, "vms": [dict(vm, state="flying")]}), "protocol",
         "vms[0].state"),
        (lambda c: c.send("report", {"seq": 1, "full": True, "vms": [vm] * 9000}), "protocol",
         "vms: 9000 items, the limit is 8192"),
        (lambda c: c.send("report", {"seq": 1, "full": True, "vms": [dict(vm, name="n" * 300)]}), "protocol",
         "report.vms[0]"),
    ]
    with unchanged(s):
        for say, code, part in before:
            refused(s, log, cert, say, code, part, welcome=False)
        for say, code, part in after:
            refused(s, log, cert, say, code, part, welcome=True)
        with Peer(s.lab, cert) as peer:  # the middle of a frame is the end
            peer.welcome("h4")
            peer.send_bytes(b"\0\0\1\0{")
            peer.close()
        log.wait("agent disconnected", "in the middle of a frame")
        with Peer(s.lab, cert) as peer:  # a line of the log is written by nobody else
            peer.hello("h4", agent_version='1"\nlevel=error msg="forged" x="', proto_min=9, proto_max=9)
            peer.last_words()
        log.wait("code=version", "agent 1' level=error msg='forged' x='")
        s.expect('msg="forged"' not in log.text(), "a peer has written a line of its own into the log")
        silences(s, log, silent + [Peer(s.lab, cert)], since)
    drover.start_agent(Host(s.lab, 4))
    s.all_connected()
    s.expect(s.vms()["four"]["host"] == "h4", "h4's VM is lost")
    s.beats("four")


def refused(s, log, cert, say, code, part, welcome):
    with Peer(s.lab, cert) as peer:
        if welcome:
            peer.welcome("h4")
        say(peer)
        got = peer.last_words()
        if got[1] == NO_HELLO:  # this process was too slow
            return refused(s, log, cert, say, code, part, welcome)
        s.expect(got[0] == code and part in got[1], f"told {got}, expected {code}: '{part}'")
        log.wait(peer.address(), part.replace('"', "'"))


def silences(s, log, silent, since):
    """Whoever says nothing is cut off: before the handshake, before the hello, between heartbeats."""
    plain, nameless, mute = silent
    with plain, nameless, mute:
        mute.welcome("h4")
        started = time.monotonic()
        log.wait(plain.address(), "TLS handshake not finished after 10 s", seconds=20)
        log.wait(nameless.address(), NO_HELLO, seconds=20)
        s.expect(time.monotonic() - since >= 9, "cut off too early")
        s.expect(nameless.last_words() == ("protocol", NO_HELLO), "told so")
        log.wait(mute.address(), "nothing received for", seconds=4 * HEARTBEAT_S)
        s.expect(2.5 * HEARTBEAT_S < time.monotonic() - started, "cut off before three heartbeats were missed")


# ---- policy --------------------------------------------------------------------------------------------

GOOD_POLICY = """version: 1
rules:
  - name: web-not-on-h2
    host_forbidden: {vms: {names: ["web*"]}, hosts: {names: [h2]}}
"""
BROKEN_POLICIES = [  # (text, where, what)
    ("version: 1\nmigration:\n  paralel: 4\n", "3:3", "unknown key 'paralel' in migration; did you mean 'parallel'?"),
    ("version: 1\nmigration:\n  parallel: many\n", "3:13", "migration.parallel: expected"),
    ("version: 1\nrules:\n  - {name: x, anti_afinity: {vms: {names: [a]}}}\n", "3:15", "did you mean 'anti_affinity'?"),
    ("version: 1\ndrain: {on_blocked: [leave\n", "3:1", "not valid YAML: did not find expected ',' or ']'"),
    ("version: 9\n", "1:10", "version"),
    ("drain: {}\n", "1:1", "version"),
]


def scenario_policy(s):
    """A broken policy is refused with file:line:column; the last good one stays in force until it is right again."""
    s.guests({"name": "web", "host": "h1"})
    s.policy(GOOD_POLICY)
    file, log = s.lab.path("policy", "drover.yaml"), scheduler_log(s)

    def forbidden():
        there = {h["host"]: h for h in s.json("explain", "web")["hosts"]}["h2"]
        return not there["allowed"] and there["reason"]
    reason = wait_until("the rule to be in force", 10, forbidden)
    s.expect(reason["code"] == "host_forbidden" and "web-not-on-h2" in reason["what"] and
             reason["where"].endswith("drover.yaml:3"), f"{reason}")
    good = s.drover("policy", "check", os.path.dirname(file))
    s.expect_in("ok, 1 rule", good.stdout)
    for text, at, what in BROKEN_POLICIES:
        write(file, text)
        got = s.drover("policy", "check", os.path.dirname(file), expect=1)
        s.expect(f"drover.yaml:{at}: " in got.stdout and what in got.stdout, f"{text}\nwanted {at} {what}: {got.stdout}")
        told = log.wait("policy refused, the last good one stays in force", f"drover.yaml:{at}: ",
                        what.replace('"', "'"))
        s.expect(told.startswith("level=error"), told)
        state = wait_until("the health to say so", 5, lambda: checks(s).get("POLICY_REFUSED"))
        s.expect(f"drover.yaml:{at}" in state["text"] and "policy check" in state["cure"], f"{state}")
        s.expect(health(s)["policy"]["state"] == "refused", f"{health(s)['policy']}")
        s.expect(forbidden(), "the last good policy is not in force any more")
    s.expect_in("policy.refused", journal_kinds(s), "the journal")
    # A scheduler that starts now knows no good one: it says so, and tries again when it is started again.
    wont_start(s, apart(s, "policy"), "cannot start", f"drover.yaml:{at}: ", "drover policy check")
    s.drover("drain", "h1", "--dry-run")  # the fleet is worked with as before
    os.unlink(file)
    os.rmdir(os.path.dirname(file))
    log.wait("policy refused", "No such file or directory")
    s.expect(forbidden(), "without its directory the last good policy is not in force any more")
    s.policy("version: 1\n")
    wait_until("the repaired policy to be in force", 10, lambda: health(s)["policy"]["state"] == "in-force")
    s.expect(not forbidden() and "POLICY_REFUSED" not in checks(s), "the old policy is still in force")
    s.beats("web")


def journal_kinds(s):
    return " ".join(e["kind"] for e in s.json("journal", "--limit", "1000")["entries"])


# ---- configuration files, certificates of one's own ----------------------------------------------------

def config_text(s, **changes):
    """scheduler.yaml with other values; None leaves the key out."""
    with open(s.lab.path("drover", "scheduler.yaml")) as f:
        keys = dict(line.rstrip("\n").split(": ", 1) for line in f)
    keys.update(changes)
    return "".join(f"{k}: {v}\n" for k, v in keys.items() if v is not None)


def apart(s, name, **changes):
    """The configuration of another scheduler, that shares nothing with the first one. Gives its path."""
    d = s.lab.path("second", name)
    os.makedirs(f"{d}/recorder", exist_ok=True)
    own = {"listen": "10.77.0.1:7450", "socket": f"{d}/api.sock", "database": f"{d}/drover.db",
           "recorder": f"{d}/recorder"}
    write(f"{d}/scheduler.yaml", config_text(s, **dict(own, **changes)))
    return f"{d}/scheduler.yaml"


@contextlib.contextmanager
def second_scheduler(s, name, **changes):
    config = apart(s, name, **changes)
    s.lab.spawn("second-" + name, [drover.program("drover-scheduler"), "--config", config])
    try:
        path = os.path.join(os.path.dirname(config), "api.sock")
        s.lab.wait_daemon("second-" + name, 20, lambda: drover.accepts(path))
        yield config
    finally:
        if s.lab.signal_daemon("second-" + name, signal.SIGTERM):
            wait_until("the second scheduler to end", 20, lambda: s.lab.daemon_pid("second-" + name) is None)


def wont_start(s, config, *needles):
    """It ends at once, with exit code 1 and one line that says why."""
    got = s.lab.core([drover.program("drover-scheduler"), "--config", config], check=False, timeout=30)
    said(s, got, needles)


def said(s, got, needles):
    text = got.stdout + got.stderr
    lines = [line for line in text.splitlines() if all(n in line for n in needles)]
    s.expect(got.returncode == 1 and lines, f"exit {got.returncode}, expected 1 and {needles}:\n{text}")


def scenario_configuration(s):
    """Broken scheduler.yaml and agent.yaml, wrong certificates: not started, file:line:column or the file named."""
    p = pki(s)
    good, h1 = config_text(s), Host(s.lab, 1)
    agent = h1.run(["cat", "/etc/drover/agent.yaml"]).stdout
    broken = s.lab.path("second", "broken.yaml")
    with unchanged(s):
        for text, needles in (
                (good + "databse: /x\n", [":9:1: unknown key 'databse'; did you mean 'database'?"]),
                (good + "listen: x:1\n", [":9:1: key 'listen' is given twice"]),
                (good.replace("listen: 10.77.0.1:7440", "listen: here"), [":1:9: 'listen': expected ADDRESS:PORT"]),
                (good + "heartbeat: soon\n", [":9:12: 'soon' is not a duration"]),
                (good + "heartbeat: 1ms\n", [":9:12: expected 100ms to 10m"]),
                (good + "api: [\n", ["not YAML"])):
            write(broken, text)
            wont_start(s, broken, broken, *needles)
        wont_start(s, broken + ".missing", "No such file or directory", broken + ".missing")
        next_line = agent.count("\n") + 1
        for text, needles in (
                (agent + "zome: a\n", [f":{next_line}:1: unknown key 'zome'; did you mean 'zone'?"]),
                (agent.replace("address:", "adress:"), ["unknown key 'adress'; did you mean 'address'?"]),
                (agent.replace("scheduler: ", "scheduler: [nowhere] # "), [":1:13: 'scheduler'"]),
                (agent + "resync: never\n", [f":{next_line}:9: 'resync': 'never' is not a duration"]),
                ("labels: {}\n", ["'scheduler: HOST:PORT' is missing"]),
                ("", ["'scheduler: HOST:PORT' is needed"]),
                (agent + "\tx: y\n", ["not YAML"])):
            write(broken, text)
            got = h1.run([drover.program("drover-agent"), "--config", broken], check=False, timeout=30)
            said(s, got, [broken] + needles)
        certificates_of_ones_own(s, p, agent, broken)


def certificates_of_ones_own(s, p, agent, broken):
    """A certificate that every peer would refuse is refused at the start."""
    h1, ours = Host(s.lab, 1), s.lab.path("drover", "tls")

    def tls(folder, ca=None, key=None):
        return {"cert": f"{folder}/cert.pem", "key": f"{key or folder}/key.pem", "ca": f"{ca or folder}/ca.pem"}
    strange = p.issue("scheduler", "scheduler", ca=p.stranger(), label="stranger-scheduler")
    cases = [
        (tls(p.expired("scheduler", "scheduler")), ["expired on", "drover pki issue"]),
        (tls(strange, ca=ours), ["which is not our CA"]),
        (tls(p.issue("agent", "h1")), ["has the role agent", "drover pki issue scheduler --name NAME"]),
        (tls(ours, key=strange), ["does not belong to certificate", "the same `drover pki issue`"]),
        (tls("/nonexistent"), ["/nonexistent/cert.pem", "No such file or directory"]),
    ]
    for i, (keys, needles) in enumerate(cases):
        wont_start(s, apart(s, f"cert{i}", **keys), "cannot start", *needles)
    cases = [
        (p.expired("agent", "h1"), ["expired on", "drover pki issue"]),
        (p.issue("operator", "bob"), ["role operator", "drover pki issue agent"]),
    ]
    for folder, needles in cases:
        write(broken, re.sub(r"/etc/drover/tls", folder, agent))
        got = h1.run([drover.program("drover-agent"), "--config", broken], check=False, timeout=30)
        said(s, got, needles)
