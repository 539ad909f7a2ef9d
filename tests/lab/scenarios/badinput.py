"""What a scheduler is fed by mistake or malice: each time a line that says what, where and what to do, and
nothing lost. The rest of the fleet goes on as if nothing had been said."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import struct
import time

from lablib import drover, guest
from lablib.env import run, tail, wait_until, write
from lablib.host import Host
from lablib.peer import Peer, Pki, core_socket

HEARTBEAT_S = 5
FRAME_LIMIT = 4 << 20


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
        super().__init__("localhost", timeout=30)
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
        (6, "cordon host/kvm-07", "no host 'kvm-07'"),
        (6, "resume h9", "no host 'h9'"),
        (6, "cancel 99", "no run/99; `drover runs` lists them"),
        (1, "run 99", "no run/99"),
        (1, "explain wen", "no VM 'wen'; did you mean 'web'"),
        (1, "hosts h11", "no host is called 'h11'; did you mean h1?"),
        (1, "vms --host h11", "no host is called 'h11'; did you mean h1?"),
        (3, "check h9", "UNKNOWN - host/h9: no host 'h9'"),
        (64, "drian h1", "unknown command 'drian'; did you mean drover drain?"),
        (64, "plan drian h1", "'drian' cannot be planned; drover plan drain HOST can"),
        (64, "drain", "a host is missing"),
        (64, "drain h1 h2", "unexpected word 'h2'"),
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
        request(s, b'{"verb":"drain","host":"h1","dryrun":true}', 400, "bad_member", "did you mean 'dry_run'")
        request(s, b'{"verb":"drain","host":"h1","parallel":"all"}', 400, "bad_member", "parallel")
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
    silent = [Peer(s.lab, None, handshake=False), Peer(s.lab, cert), Peer(s.lab, cert)]
    since = time.monotonic()

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
        (lambda c: c.send("hello", hello, v=2), "version", "message of protocol 2, this side speaks 1 to 1"),
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
        silences(s, log, cert, silent, since)
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
        s.expect(got[0] == code and part in got[1], f"told {got}, expected {code}: '{part}'")
        log.wait(peer.address(), part.replace('"', "'"))


def silences(s, log, cert, silent, since):
    """Whoever says nothing is cut off: before the handshake, before the hello, between heartbeats."""
    plain, nameless, mute = silent
    with plain, nameless, mute:
        mute.welcome("h4")
        started = time.monotonic()
        log.wait(plain.address(), "TLS handshake not finished after 10 s", seconds=20)
        log.wait(nameless.address(), "no hello within 10 s", seconds=20)
        s.expect(time.monotonic() - since >= 9, "cut off too early")
        s.expect(nameless.last_words() == ("protocol", "no hello within 10 s"), "told so")
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
        s.expect(f"drover.yaml:{at}: " in got.stderr and what in got.stderr, f"{text}\nwanted {at} {what}: {got.stderr}")
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
        for text, needles in (
                (agent + "zome: a\n", [":8:1: unknown key 'zome'; did you mean 'zone'?"]),
                (agent.replace("address:", "adress:"), ["unknown key 'adress'; did you mean 'address'?"]),
                (agent.replace("scheduler: ", "scheduler: [nowhere] # "), [":1:13: 'scheduler'"]),
                (agent + "resync: never\n", [":8:9: 'resync': 'never' is not a duration"]),
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


# ---- the database --------------------------------------------------------------------------------------

def scenario_database(s):
    """From a newer version, damaged, another program's, read-only, in use: not started, nothing of it changed."""
    live = s.lab.path("drover", "drover.db")
    copy = s.lab.path("second", "copy.db")
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    if os.path.exists(copy):
        os.unlink(copy)
    backup = run([drover.program("drover-scheduler"), "--config", s.lab.path("drover", "scheduler.yaml"),
                  "--backup", copy])
    s.expect_in(f"to {copy}", backup.stdout)
    with unchanged(s):
        got = run([drover.program("drover-scheduler"), "--config", s.lab.path("drover", "scheduler.yaml"),
                   "--backup", copy], check=False)
        said(s, got, [copy, "File exists"])
        with second_scheduler(s, "copy", database=copy):
            pass  # the copy is one that a scheduler starts with

        newer = damaged_copy(s, copy, "newer.db")
        with contextlib.closing(sqlite3.connect(newer)) as db:
            known = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {known + 1}")
        refuses_database(s, newer, f"has schema {known + 1}", f"knows up to {known}",
                         "install the version that wrote it or a newer one")

        torn = damaged_copy(s, copy, "torn.db")
        with open(torn, "r+b") as f:  # every page after the first but one
            f.seek(8192)
            f.write(os.urandom(os.path.getsize(torn) - 8192))
        refuses_database(s, torn, torn, "drover-scheduler --backup", "move the file away to begin anew")
        cut = damaged_copy(s, copy, "cut.db")
        os.truncate(cut, os.path.getsize(cut) // 2)
        refuses_database(s, cut, cut, "drover-scheduler --backup")
        noise = s.lab.path("second", "noise.db")
        with open(noise, "wb") as f:
            f.write(os.urandom(20000))
        refuses_database(s, noise, noise, "move the file away to begin anew")

        other = s.lab.path("second", "other.db")
        with contextlib.closing(sqlite3.connect(other)) as db:
            db.execute("CREATE TABLE IF NOT EXISTS accounts (x)")
        refuses_database(s, other, "is an SQLite database, but not one of drover-scheduler's")
        refuses_database(s, s.lab.path("second", "no", "such", "folder.db"), "the directory must exist")
        read_only(s, copy)

        # The same database twice: the first one goes on.
        wont_start(s, apart(s, "twice", database=live), "cannot start", "another drover-scheduler (pid "
                   f"{s.lab.daemon_pid('drover-scheduler')}) uses database", "stop it first")


def damaged_copy(s, copy, name):
    target = s.lab.path("second", name)
    shutil.copyfile(copy, target)
    return target


def refuses_database(s, path, *needles):
    """And leaves it as it was, for whoever can save it."""
    before = open(path, "rb").read() if os.path.exists(path) else None
    wont_start(s, apart(s, "refuse", database=path), "cannot start", *needles)
    after = open(path, "rb").read() if os.path.exists(path) else None
    s.expect(before == after, f"{path} has been written to")


def read_only(s, copy):
    """On a file system that cannot be written to."""
    d = s.lab.path("second", "readonly")
    os.makedirs(d, exist_ok=True)
    config = apart(s, "ro", database=f"{d}/drover.db")
    mount = (f"mount -t tmpfs -o size=4m drover-test {d} && cp {copy} {d}/drover.db && "
             f"mount -o remount,ro {d} && exec \"$@\"")
    got = s.lab.core(["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh",
                      drover.program("drover-scheduler"), "--config", config], check=False, timeout=30)
    said(s, got, ["cannot start", f"{d}/drover.db", "Read-only file system", "writable for the scheduler"])


# ---- the database's disk ---------------------------------------------------------------------------------

class Disk:
    """A small disk for the database, in a mount namespace of its own: nothing is left when it ends."""

    def __init__(self, s, image=None):
        """Memory, or an ext4 that turns read-only when it meets an error, in the file `image`."""
        self.s, self.dir, self.image = s, s.lab.path("disk"), image
        os.makedirs(self.dir, exist_ok=True)
        if image:
            run(["truncate", "-s", "32M", image])
            run(["mkfs.ext4", "-q", "-F", image])
        self.mount()

    def mount(self):
        what = f"-o loop,errors=remount-ro {self.image}" if self.image else "-t tmpfs -o mode=755,size=6m drover-test"
        script = f"mount {what} {self.dir} && touch {self.dir}/mounted && exec sleep infinity"
        self.s.lab.spawn("disk", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script])
        self.s.lab.wait_daemon("disk", 10, lambda: os.path.exists(self.path("mounted")))

    def path(self, name):
        """As seen from outside."""
        return f"/proc/{self.s.lab.daemon_pid('disk')}/root{self.dir}/{name}"

    def start_scheduler(self):
        """The lab's scheduler, its database on this disk."""
        config = self.s.lab.path("second", "full.yaml")
        write(config, config_text(self.s, database=f"{self.dir}/drover.db"))
        self.s.lab.spawn("drover-scheduler", ["nsenter", f"--mount=/proc/{self.s.lab.daemon_pid('disk')}/ns/mnt", "--",
                                              drover.program("drover-scheduler"), "--config", config])
        self.s.lab.wait_daemon("drover-scheduler", 20, lambda: drover.accepts(drover.socket_path(self.s.lab)))

    def fill(self):
        with open(self.path("ballast"), "ab", buffering=0) as f:
            for block in (65536, 4096, 1):
                with contextlib.suppress(OSError):  # no space left: what is wanted here
                    while True:
                        f.write(b"x" * block)

    def free(self):
        os.unlink(self.path("ballast"))

    def turn_read_only(self):
        """As after an error of the device; whoever has a file open keeps it and cannot write."""
        with open(f"/proc/{self.s.lab.daemon_pid('disk')}/mounts") as f:
            device = [line.split()[0] for line in f if line.split()[1] == self.dir][0]
        with open(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error", "w") as f:
            f.write("lab")

    def repair(self):
        self.end()
        got = run(["e2fsck", "-fy", self.image], check=False, timeout=60)
        self.s.expect(got.returncode in (0, 1), f"e2fsck: {got.stdout}{got.stderr}")
        self.mount()

    def end(self):
        """The kernel unmounts it some time after its last process has ended."""
        if self.s.lab.signal_daemon("disk", signal.SIGKILL):
            wait_until("the disk to be gone", 10, lambda: self.s.lab.daemon_pid("disk") is None and not (
                self.image and run(["losetup", "-j", self.image]).stdout))


def stop_scheduler(s):
    s.lab.signal_daemon("drover-scheduler", signal.SIGTERM)
    wait_until("the scheduler to stop", 20, lambda: s.lab.daemon_pid("drover-scheduler") is None)


def copy_database(source, target):
    """To the platter: of a disk that fails later, only that is left."""
    for end in ("", "-wal"):
        if os.path.exists(source + end):
            shutil.copyfile(source + end, target + end)
            with open(target + end, "rb+") as f:
                os.fsync(f.fileno())


@contextlib.contextmanager
def scheduler_on(s, image=None):
    """The lab's scheduler with its database on a Disk, and at the end where it was, with what it knows then."""
    live = s.lab.path("drover", "drover.db")
    stop_scheduler(s)
    disk = Disk(s, image)
    try:
        copy_database(live, disk.path("drover.db"))
        disk.start_scheduler()
        s.all_connected()
        yield disk
        stop_scheduler(s)
        copy_database(disk.path("drover.db"), live)
    finally:
        if s.lab.daemon_pid("drover-scheduler"):
            stop_scheduler(s)
        disk.end()
        drover.start_scheduler(s.lab)
    s.all_connected()


def two_to_move(s):
    """Guests a and b on h1, slow enough to be met on their way, c on h2."""
    s.policy("version: 1\nmigration: {bandwidth: 100Mbit}\n")
    s.guests(*[{"name": n, "host": "h1", "fill": 48, "mem": 144} for n in "ab"], {"name": "c", "host": "h2"})


def fails_mid_drain(s, disk, fail, *needles):
    """A drain is under way when the store fails: nothing new is begun, and everybody is told. Gives run and log."""
    log = scheduler_log(s)
    run_id = s.start_drain("h1", "--parallel", "1")
    moving = s.wait_copying(run_id)[0]["vm_name"]
    waiting = {"a": "b", "b": "a"}[moving]
    fail()
    wait_until("the store to fail", 60, lambda: health(s)["store"] != "ok", pause=0.2)
    log.wait("store failed: nothing is started until it works again", disk.dir, *needles)

    # Nothing is accepted, and whoever asks is told why and what to do; looking is free.
    state = health(s)
    s.expect(state["status"] == "error" and needles[0] in state["store"], f"{state}")
    for words in (("drain", "h2"), ("cordon", "h2"), ("cancel", str(run_id)), ("resume", "h1")):
        got = s.drover(*words, expect=1)
        for needle in needles + ("nothing was done", "moves in flight go on", "continues by itself"):
            s.expect_in(needle, got.stdout + got.stderr, f"drover {' '.join(words)}")
    status, answer = Api(s).ask("POST", "/v1/requests", b'{"verb":"cordon","host":"h2"}')
    s.expect(status == 503 and answer["code"] == "store_failed" and "tries its database again" in answer["cure"],
             f"{status} {answer}")
    s.expect(s.hosts()["h2"]["state"] == "up" and set(s.vms()) == {"a", "b", "c"}, "looking should still work")

    # The move in flight is libvirt's and ends well; no other is begun.
    wait_until(f"{moving} to arrive", 60, lambda: s.where(moving)["hosts"]["h1"] in ("absent", "shut off"))
    s.expect(s.where(waiting)["hosts"]["h1"] == "running", f"{waiting} was moved while nothing could be written down")
    s.beats("a", "b", "c")
    return run_id, log


def goes_on(s, run_id, term):
    """The store works again: the run ends by itself, and nothing was issued twice."""
    view = s.wait_run(run_id, "done")
    s.expect(health(s)["store"] == "ok" and health(s)["term"] > term, f"{health(s)}")
    s.expect((view["run"]["moved"], view["run"]["stopped"]) == (2, 0), f"{view['run']}")
    issued = [e["text"] for e in view["entries"] if e["kind"] == "move.copying"]
    s.expect(len(issued) == 2, f"moves were issued twice: {issued}")
    for name in ("a", "b"):
        host = s.place(name)[name]
        s.expect(host != "h1", f"{name} is still on h1")
        s.assert_on(name, host)
    s.beats("a", "b", "c")
    s.drover("cordon", "h3")
    s.drover("resume", "h3")


def scenario_disk_full(s):
    """The database's disk fills in the middle of a drain: 503 with the cure, no new move; then the run goes on by itself."""
    two_to_move(s)
    with scheduler_on(s) as disk:
        term = health(s)["term"]
        run_id, log = fails_mid_drain(s, disk, disk.fill, "the disk is full; free space on its file system")
        disk.free()
        log.wait("store works again; the core was rebuilt from it", seconds=30)
        goes_on(s, run_id, term)
        s.expect_in("store.recovered", journal_kinds(s), "the journal")
    s.expect(s.hosts()["h1"]["state"] == "maintenance", "the drain is forgotten")


def scenario_disk_read_only(s):
    """It turns read-only in the middle of a drain, as after an I/O error: the same; repaired, the run goes on."""
    two_to_move(s)
    with scheduler_on(s, s.lab.path("disk.ext4")) as disk:
        term = health(s)["term"]
        run_id, _ = fails_mid_drain(s, disk, disk.turn_read_only, "check the disk and the kernel's log")
        stop_scheduler(s)
        disk.repair()
        disk.start_scheduler()
        goes_on(s, run_id, term)
    s.expect(s.hosts()["h1"]["state"] == "maintenance", "the drain is forgotten")
