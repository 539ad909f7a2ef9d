"""Balance and the operator's word: suspended nothing begins; what another hand made fail is left out until it is lifted."""
from lablib.env import wait_until

EVEN = """version: 1
balance: {schedule: "* * * * *", sustained: 1, approve: auto, mode: balance, imbalance: 1%, min_gain: 1%,
          weights: {cpu: 0, memory: 1}, max_moves: 1, cooldown: none}
rules:
  - {name: stays, maintenance_only: {vms: {names: [stay]}}}
"""
ASKED = EVEN.replace('schedule: "* * * * *", sustained: 1, approve: auto, ', "")


def journal(s, kind):
    return [e["text"] for e in s.json("journal")["entries"] if e["kind"] == kind]


def runs(s):
    return [r for r in s.json("runs")["runs"] if r["kind"] == "balance"]


def scenario_suspended(s):
    """Suspended, a look begins nothing, and health says so; resumed, the next look moves a VM."""
    s.guests({"name": "stay", "host": "h1"}, {"name": "goes", "host": "h1"})
    before, said = len(runs(s)), len(journal(s, "balance.look"))
    s.drover("policy", "suspend", "-m", "new disks", "--for", "4h")
    s.policy(EVEN)
    s.next_minute()
    wait_until("a look to be left out", 30, lambda: len(journal(s, "balance.look")) > said, pause=0.3)
    s.expect_in("new disks", journal(s, "balance.look")[-1])
    health = s.drover("health", expect=1).stdout
    s.expect_in("BALANCE_SUSPENDED", health)
    s.expect_in("new disks", health)
    s.expect(s.json("policy")["state"] == "suspended", "drover policy does not say that it is suspended")
    s.expect(len(runs(s)) == before, f"a run began while balance is suspended: {runs(s)[:1]}")
    s.assert_on("goes", "h1")

    s.drover("policy", "resume")
    s.expect("BALANCE_SUSPENDED" not in s.drover("health", expect=(0, 1)).stdout, "health still says that it is suspended")
    s.next_minute()
    wait_until("the next look to begin a run", 30, lambda: len(runs(s)) > before, pause=0.3)
    run = runs(s)[0]
    s.expect(run["actor"] == "schedule", f"{run}")
    moves = s.wait_run(run["id"], "done")["moves"]
    s.policy("version: 1\n")
    s.expect([m["vm_name"] for m in moves] == ["goes"], f"{moves}")
    s.assert_on("goes", moves[0]["to"])
    s.beats()


def scenario_aborted_twice(s):
    """Another hand aborts a move: the next plan takes another host; aborted there too, the VM is left out, until --forget-failures."""
    s.hold(ASKED, wait=False)  # a hand has the time to abort it
    s.guests({"name": "stay", "host": "h1"}, {"name": "goes", "host": "h1", "fill": 32, "dirty": 2048})
    s.wait_policy()

    def planned(*args):
        return [(m["vm_name"], m["to"]) for m in s.json("balance", "-n", *args).get("moves", [])]

    def aborted():
        run_id = s.json("balance", "--detach")["run"]
        move = s.wait_copying(run_id)[0]
        s.virsh("h1", "domjobabort goes")
        view = s.wait_run(run_id, ("failed", "partly"))
        s.expect([m["state"] for m in view["moves"]] == ["failed"], s.moves_text(view))
        s.assert_on("goes", "h1")
        return move["to"]

    def why():
        return s.drover("explain", "goes").stdout

    first = aborted()
    s.expect_in(f"vm/goes to {first} until", why(), "explain")
    s.expect("MOVES_FAIL" not in s.drover("health", expect=(0, 1)).stdout, "once may be chance")
    (vm, second), = planned()
    s.expect(vm == "goes" and second not in ("h1", first), f"{vm} to {second}")
    s.expect(aborted() == second, "not where the dry run said")
    s.expect_in("vm/goes to any host until", why(), "explain")
    s.expect_in("MOVES_FAIL", s.drover("health", expect=1).stdout)
    s.expect(planned() == [], "what failed on two hosts is planned again")

    s.policy(ASKED)
    s.expect(planned("--forget-failures") != [], "--forget-failures does not lift it")
    s.expect_in("vm/goes to any host until", why(), "explain, after a dry run")
    done = s.json("balance", "--forget-failures")
    s.expect([m["state"] for m in done["moves"]] == ["done"], s.moves_text(done))
    s.assert_on("goes", done["moves"][0]["to"])
    s.expect("to any host until" not in why(), "explain still leaves it out")
    s.expect("MOVES_FAIL" not in s.drover("health", expect=(0, 1)).stdout, "health still leaves it out")
    s.beats()
