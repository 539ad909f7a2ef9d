"""Balance runs: a hot host is relieved by schedule, and nothing moves when nothing is gained; drains and other hands go first."""
from lablib import guest
from lablib.ceph import Ceph
from lablib.env import PATIENCE, wait_until
from lablib.scenario import ENDED

RELIEF = """version: 1
balance: {mode: relieve, busy: none, imbalance: 10%, sustained: 1, approve: auto, max_moves: 3, cooldown: 30m}
"""
EACH_MINUTE = RELIEF.replace("{mode", '{schedule: "* * * * *", mode')
EVEN = """version: 1
balance: {mode: balance, imbalance: 1%, min_gain: 1%, weights: {cpu: 0, memory: 1}, cooldown: none}
"""
EVERY = 10  # minutes: no look comes by itself while something else is looked at
PROPOSE = EVEN.replace("{mode", f'{{schedule: "*/{EVERY} * * * *", sustained: 1, approve: manual, mode') + "migration: {parallel: 1}\n"


def balance_runs(s):
    return [r for r in s.json("runs")["runs"] if r["kind"] == "balance"]


def look_says(s):
    return s.json("policy").get("balance", {}).get("last_look", "")


def wait_looks(s, what, found, step=EVERY):
    """Look after look, each as soon as the clock can be there, until there is what is wanted; returns that."""
    def there():
        got = found()
        if not got and s.now() % (60 * step) < 60 * step - 3:
            s.next_minute(ahead=3, step=step)
        return got
    return wait_until(what, 60, there, pause=0.3)


def wait_plan(s):
    """A look proposes a plan; the run."""
    found = wait_looks(s, "a plan that waits", lambda: [r for r in balance_runs(s) if r["state"] == "proposed"])
    return found[0]["id"]


def scenario_relieves_by_schedule(s):
    """Four of ten guests burn CPU on one host: within two looks it is relieved by at most three moves; the next look moves nothing."""
    hot = [f"hot-{i}" for i in range(4)]
    cool = {f"cool-{i}": f"h{2 + i // 2}" for i in range(6)}
    s.guests(*[{"name": n, "host": "h1", "fill": 24} for n in hot],
             *[{"name": n, "host": h, "fill": 24} for n, h in cool.items()])
    for n in hot:  # not before: the others would boot at half the speed
        guest.burn(s.lab, n, 35)
    s.policy(RELIEF)
    wait_until("all guests to be measured", 60, lambda: all(
        "now_mcpu" in v.get("cpu", {}) for v in s.vms().values()), pause=0.5)
    # For more than one: means sway while they are young, and what a look finds in vain is not planned anew for a while.
    wait_until("means of five minutes that call for moves", 60,
               lambda: len(s.json("plan", "relieve")["moves"]) > 1, pause=1)
    known = {r["id"] for r in balance_runs(s)}
    s.policy(EACH_MINUTE)
    start = s.now() // 60

    def new():
        return [r for r in balance_runs(s) if r["id"] not in known]

    def ended():
        return new() and all(r["state"] in ENDED for r in new())
    first = wait_looks(s, "a run", new, step=1)[-1]
    looks = first["created_wall_us"] // 60000000 - start
    s.expect(looks <= 2, f"the run began with look {looks}")
    wait_until("the run to have ended", 180, ended, pause=0.5)

    # Looks go on: what moved is left alone, and soon one finds nothing that is worth a move.
    def fruitless():
        last = max(r["ended_wall_us"] for r in new()) if ended() else None
        looks = [e for e in s.json("journal", "--limit", "200")["entries"] if e["kind"] == "balance.look"]
        return last and any(e["wall_us"] > last for e in looks)
    wait_looks(s, "a look that moves nothing", fruitless, step=1)
    views = [s.run_view(r["id"]) for r in reversed(new())]
    moves = [m for v in views for m in v["moves"] if m["state"] == "done"]
    text = "\n".join(f"{v['run'].get('message')}\n{s.moves_text(v)}" for v in views)
    s.expect(1 <= len(moves) <= 3 and len({m["vm"] for m in moves}) == len(moves), text)
    place = s.place(*hot, *cool)
    for m in moves:
        s.expect(m["from"] == "h1" and m["vm_name"] in hot and place[m["vm_name"]] == m["to"], f"{m}")
    first = views[0]["run"]
    s.expect(first["actor"] == "schedule" and first["before"]["measured"] and
             first["planned"]["cpu_max_ppm"] < first["before"]["cpu_max_ppm"], f"{first}")
    s.expect_in("CPU", s.drover("runs", str(first["id"]), "--why").stdout, "runs --why")
    s.expect_in(f"run/{first['id']}", s.drover("explain", moves[0]["vm_name"]).stdout, "explain")
    s.beats(*hot, *cool)


def scenario_others_go_first(s):
    """A drain interrupts a balance run; a VM that another hand moves meanwhile is not moved again."""
    names = [f"vm-{i}" for i in range(6)]
    s.hold(EVEN, wait=False)
    s.guests(*[{"name": n, "host": "h1", "mem": 160, "fill": 48, "dirty": 2048} for n in names])

    def begin():
        s.wait_policy()
        run_id = s.json("balance", "--parallel", "1", "--detach")["run"]
        s.wait_copying(run_id)
        return run_id
    first = begin()
    drain = s.start_drain("h4")
    s.release(first)
    view = s.wait_run(first, "partly")
    s.expect_in(f"run/{drain} (drain of host/h4) goes first", s.journal(first), "the journal of the balance run")
    s.expect(all(m["state"] in ("done", "cancelled") for m in view["moves"]), s.moves_text(view))
    s.hold(EVEN, wait=False)
    s.wait_run(drain, "done")
    s.drover("resume", "h4")

    second = begin()
    waits = [m["vm_name"] for m in s.run_view(second)["moves"] if m["state"] == "queued"][-1]
    s.virsh("h1", f"migrate --live --p2p --persistent --undefinesource --tls {waits} qemu+tls://h4/system")
    wait_until(f"{waits} to be known on h4", 60, lambda: s.vms()[waits]["host"] == "h4")
    s.release(second)
    view = s.wait_run(second, ("done", "partly"))
    s.expect_in(f"vm/{waits}: it left h1, not by Drover; it is on h4", s.journal(second), "the journal")
    state = {m["vm_name"]: m["state"] for m in view["moves"]}
    s.expect(state.pop(waits) == "cancelled" and "done" in state.values(), s.moves_text(view))
    place = s.place(*names)
    s.expect(place[waits] == "h4" and len(set(place.values())) >= 3, f"{place}")
    s.beats(*names)


def slow_after(ceph, seconds):
    ceph.ceph("tell", "osd.0", "config", "set", "osd_op_complaint_time", str(seconds))


def ceph_says(s, needle):
    wait_until(f"Ceph to say '{needle}'", 60, lambda: needle in Ceph(s.lab).ceph("health").stdout, pause=0.5)


def scenario_waits_for_ceph(s):
    """An OSD stands still: the look waits for Ceph and says why; when it goes on, the next one proposes, and the plan is carried out."""
    names, ceph = [f"vm-{i}" for i in range(4)], Ceph(s.lab)
    ceph.ceph(stdin="osd pool create two 4 4\nosd pool application enable two rbd\nosd pool set two size 2\n", timeout=60)
    slow_after(ceph, 1)
    s.guests(*[{"name": n, "host": "h1", "fill": 24} for n in names])
    with ceph.stopped(1):  # what osd.0 writes waits for its copy
        writer = s.begin_core("rados", "-p", "two", "bench", "3", "write", "-t", "16", "-b", "4096")
        ceph_says(s, "slow ops")
        s.lab_do("scheduler", "stop")  # the next one has never asked Ceph: it does so at once
        s.lab_do("scheduler", "start")
        s.all_connected()
        s.policy(PROPOSE)
        asked_us = s.recorded_us()
        s.next_minute(ahead=19, step=EVERY)
        wait_until("Ceph's word", 60, lambda: s.recorded("ceph_told", asked_us))
        wait_looks(s, "a look that waits", lambda: look_says(s).startswith("waits: Ceph is slow: "))
        s.expect_in("scheduled balance waits: Ceph is slow: ", s.drover("health", expect=1).stdout, "health")
        s.expect_in("osd.0 has slow ops", look_says(s))
    writer.wait(60 * PATIENCE)
    ceph_says(s, "HEALTH_OK")
    slow_after(ceph, 30)
    # Ceph is asked twice a minute at most; until then looks go on waiting.
    wait_looks(s, "a look that does not wait", lambda: not look_says(s).startswith("waits: "))
    run_id = wait_plan(s)
    s.expect("CEPH_PAUSES" not in s.drover("health", expect=1).stdout, "it says that it waits for Ceph")
    s.drover("apply", str(run_id), "--detach")
    s.wait_run(run_id, "done", 90)
    wait_until("all to be well", 60, lambda: s.drover("health", expect=None).returncode == 0)
    s.beats(*names)


def scenario_plan_waits(s):
    """A plan waits for an operator over a restart; a VM leaves, it expires; the next one is applied, the scheduler killed between two moves."""
    names = [f"vm-{i}" for i in range(5)]
    s.policy(PROPOSE, wait=False)
    s.guests(*[{"name": n, "host": "h1", "fill": 24} for n in names])
    s.wait_policy()
    first = wait_plan(s)
    s.lab_do("scheduler", "stop")
    s.lab_do("scheduler", "start")
    s.all_connected()
    view = s.run_view(first)
    s.expect(view["run"]["state"] == "proposed", f"after a restart: {view['run']}")
    s.expect_in(f"drover apply {first}", s.drover("health", expect=1).stdout, "health")
    gone = view["moves"][0]["vm_name"]
    s.drover("policy", "suspend", "-m", "no look is to supersede it first")
    s.virsh("h1", f"migrate --live --p2p --persistent --undefinesource --tls {gone} qemu+tls://h4/system")
    view = s.wait_run(first, "expired", 30)
    s.expect_in(f"vm/{gone} is not on h1 any more; nothing was moved", view["run"]["message"])
    refused = s.drover("apply", str(first), expect=6)
    s.expect_in(f"vm/{gone} is not on h1 any more", refused.stderr)

    s.drover("policy", "resume")
    second = wait_plan(s)
    s.drover("apply", str(second), "--detach")
    wait_until("the first move to end", 60, lambda: s.run_view(second)["run"]["moved"], pause=0.1)
    s.lab_do("scheduler", "kill")
    s.lab_do("scheduler", "start")
    view = s.wait_run(second, "done")
    s.expect(view["run"]["moved"] == view["run"]["vms"] >= 2 and view["run"]["approver"], s.moves_text(view))
    place = s.place(*names)
    for m in view["moves"]:
        s.copied(m["from"], m["vm_name"])  # once
        s.expect(place[m["vm_name"]] == m["to"], f"{place}\n{s.moves_text(view)}")
    s.beats(*names)


def scenario_link_cut(s):
    """The source's link is cut for ten seconds in the middle of a move: the move ends, and the run goes on."""
    names = [f"vm-{i}" for i in range(4)]
    s.hold(EVEN, wait=False)
    s.guests(*[{"name": n, "host": "h1", "mem": 160, "fill": 48, "dirty": 2048} for n in names])
    s.wait_policy()
    run_id = s.json("balance", "--parallel", "1", "--detach")["run"]
    s.wait_copying(run_id)
    s.lab_do("link", "h1", "cut", 10)
    s.release(run_id)
    view = s.wait_run(run_id, ("done", "partly"))
    s.all_connected()
    s.expect(all(m["state"] in ("done", "failed", "cancelled") for m in view["moves"]), s.moves_text(view))
    s.expect(view["run"]["moved"] >= 1, s.moves_text(view))
    s.place(*names)
    s.beats(*names)
