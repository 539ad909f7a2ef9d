"""A policy in git: a bad commit is refused by name, the last good one stays in force, also over a restart."""
import os
import shutil
import subprocess

from lablib.env import wait_until, write

RULE = """version: 1
rules:
  - name: web-not-on-h2
    host_forbidden: {vms: {names: ["web*"]}, hosts: {names: [h2]}}
"""
CASE = """version: 1
snapshot: {hosts: "h[1-2] 4GiB 4c", vms: "web@h1 256MiB 1c"}
cases:
  - {name: web never goes to h2, request: {move: {vm: web, to: h2}}, expect: {allowed: false, rule: web-not-on-h2}}
"""


def git(where, author, *args):
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null",
               GIT_AUTHOR_NAME=author, GIT_AUTHOR_EMAIL=f"{author.lower()}@example.org",
               GIT_COMMITTER_NAME=author, GIT_COMMITTER_EMAIL=f"{author.lower()}@example.org")
    return subprocess.run(["git", "-C", where, *args], env=env, check=True, capture_output=True, text=True).stdout.strip()


def commit(where, author, message, **files):
    for name, text in files.items():
        write(os.path.join(where, name.replace("_", ".") + ".yaml"), text)
    git(where, author, "add", "-A")
    git(where, author, "commit", "-qm", message)
    return git(where, author, "rev-parse", "HEAD")


def scenario_commits(s):
    """A broken commit is refused, the last good one stays in force and over a restart; the next good one clears it."""
    s.guests({"name": "web", "host": "h1"})
    where = s.lab.path("policy")

    def state():
        return s.json("policy", "show")

    def becomes(word, revision):
        return wait_until(f"the policy to be {word} at {revision[:12]}", 15, lambda: (
            lambda p: p if p["state"] == word and p.get("source", {}).get("revision") == revision else None)(state()))

    def forbidden():
        there = {h["host"]: h for h in s.json("explain", "web")["hosts"]}["h2"]
        return not there["allowed"] and there["reason"]["code"] == "host_forbidden"
    try:
        git(where, "Ann", "init", "-q", ".")
        good = commit(where, "Ann", "web stays off h2", drover=RULE, drover_test=CASE)
        p = becomes("in-force", good)
        s.expect(p["clean"] and p["revision"] == good and p["author"] == "Ann <ann@example.org>", f"{p}")
        s.expect(p["summary"] == "web stays off h2" and forbidden(), f"{p}")
        s.expect_in("1 case, 1 passed", s.drover("policy", "test", where).stdout)
        s.expect_in("ok, 1 rule", s.drover("policy", "check", where, "--live", "--strict").stdout)

        bad = commit(where, "Bo", "faster", drover=RULE + "drain: {order: fast}\n")
        p = becomes("refused", bad)
        s.expect(p["revision"] == good and p["source"]["author"] == "Bo <bo@example.org>", f"{p}")
        s.expect_in("drain.order: expected one of", p["message"])
        s.expect(forbidden(), "the last good policy is not in force any more")
        got = s.drover("health", expect=1).stdout
        s.expect_in("POLICY_REFUSED", got)
        s.expect_in("drover.yaml:5:16", got)
        told = [e for e in s.json("journal")["entries"] if e["kind"] == "policy.refused"][-1]
        s.expect(bad in told["text"] and "Bo <bo@example.org>" in told["text"], told["text"])

        s.lab_do("scheduler", "kill")
        s.lab_do("scheduler", "start")
        p = state()
        s.expect(p["state"] == "refused" and p["revision"] == good and p["kept"], f"after a restart: {p}")
        s.all_connected()
        s.expect(forbidden(), "after a restart the last good policy is not in force")

        mended = commit(where, "Bo", "as it was meant", drover=RULE + "drain: {order: fastest}\n")
        p = becomes("in-force", mended)
        s.expect(p["revision"] == mended and not p["kept"] and forbidden(), f"{p}")
        wait_until("all to be well", 60, lambda: s.drover("health", expect=None).returncode == 0)
        run = s.wait_run(s.start_drain("h1"), "done")["run"]
        s.expect(run["policy_commit"] == mended and run["policy_clean"], f"{run}")
    finally:
        shutil.rmtree(os.path.join(where, ".git"), ignore_errors=True)
        if os.path.exists(os.path.join(where, "drover.test.yaml")):
            os.unlink(os.path.join(where, "drover.test.yaml"))
