"""Something breaks while memory flows. Each run ends settled and says what happened; no VM is lost or doubled."""
import time

from lablib import guest
from lablib.env import wait_until

FINAL = {"done", "failed", "cancelled"}


def mid_copy(s, *names, copying=1, fill=224, args=()):
    """Guests on h1 and a drain of it, of whose moves `copying` send memory now; the run and those moves."""
    s.guests(*[{"name": n, "host": "h1", "mem": fill + 96, "fill": fill} for n in names])
    guest.mark(s.lab, "drain")
    run_id = s.start_drain("h1", *args)
    return run_id, s.wait_copying(run_id, copying)


def judge(s, run_id, names, state="done", seconds=240):
    """The run has ended as it should, and every guest lived through it, on one host, with one writer."""
    view = s.wait_run(run_id, state, seconds)
    for m in view["moves"]:
        s.expect(m["state"] in FINAL, f"a move of an ended run is {m['state']}\n{s.moves_text(view)}")
        s.expect(m["state"] != "done" or m["proven_wall_us"], f"{m['vm_name']} is done and not proven")
    for n, h in s.place(*names).items():
        s.assert_on(n, h)
        s.expect(s.vms()[n]["host"] == h, f"{n} is on {h}, Drover says {s.vms()[n]['host']}")
        if state == "done":
            s.expect(h != "h1", f"{n} is still on h1")
    if state == "done":
        s.expect(s.hosts()["h1"]["state"] == "maintenance", f"h1 is {s.hosts()['h1']['state']}")
        s.expect(not s.virsh("h1", "list --all --name").stdout.split(), "h1 still knows a domain")
    s.beats(*names)
    return view


def once_each(s, view):
    """Nothing was ordered twice: each VM was copied in its first try."""
    s.expect(all(m["attempt"] == 1 and not m.get("tried") for m in view["moves"]), s.moves_text(view))
    for m in view["moves"]:
        times = s.journal(view["run"]["id"]).count(f"vm/{m['vm_name']} copying ")
        s.expect(times == 1, f"vm/{m['vm_name']} was copied {times} times")


def gone(s, host):
    wait_until(f"Drover to miss the agent of {host}", 30, lambda: not s.hosts()[host]["connected"])


def scenario_scheduler(s):
    """kill -9 of the scheduler: copies go on, it takes the run up again by itself, its follower too."""
    names = ["one", "two", "three"]
    run_id, _ = mid_copy(s, *names, copying=2)
    follower = s.begin("attach", str(run_id), "--progress", "plain")
    follower.wait_text("copying")
    s.lab_do("scheduler", "kill")
    follower.wait_text("unreachable")
    s.lab_do("scheduler", "start")
    view = judge(s, run_id, names)
    once_each(s, view)
    out, err = follower.end(0)
    s.expect_in("answers again", err)
    s.expect_in("3 of 3 VMs moved live, 0 stopped", out)


def scenario_scheduler_twice(s):
    """kill -9 of the scheduler while it plans, and again as soon as it is back."""
    names = ["one", "two"]
    s.guests(*[{"name": n, "host": "h1", "mem": 256, "fill": 160} for n in names])
    run_id = s.start_drain("h1", "-m", "twice", "--parallel", "1")
    s.lab_do("scheduler", "kill")
    s.lab_do("scheduler", "start")
    s.expect(s.run_view(run_id)["run"]["reason"] == "twice", "the run survived")
    s.wait_copying(run_id)
    for _ in range(2):
        s.lab_do("scheduler", "kill")
        s.lab_do("scheduler", "start")
    view = judge(s, run_id, names)
    once_each(s, view)
    # What was being copied when the scheduler went still counts for --parallel.
    (_, sent), (began, _) = sorted(s.copied("h1", n) for n in names)
    s.expect(sent < began, f"--parallel 1, but the second copy began at {began}, the first was done at {sent}")


def scenario_source_agent(s):
    """kill -9 of the source's agent: libvirt goes on copying, the agent that comes back finds it."""
    names = ["one", "two"]
    run_id, _ = mid_copy(s, *names, copying=2)
    s.lab_do("kill", "h1", "agent")
    gone(s, "h1")
    s.lab_do("agent", "h1", "start")
    view = judge(s, run_id, names)
    once_each(s, view)


def scenario_destination_agent(s):
    """kill -9 of a destination's agent: its VM counts as moved only when the agent has proven it."""
    names = ["one", "two"]
    run_id, moving = mid_copy(s, *names)
    host = moving[0]["to"]
    s.lab_do("kill", host, "agent")
    gone(s, host)
    done_early = [m for m in s.run_view(run_id)["moves"] if m["to"] == host and m["state"] == "done"]
    s.expect(not done_early, f"{done_early} proven without the agent of {host}")
    s.lab_do("agent", host, "start")
    view = judge(s, run_id, names)
    once_each(s, view)


def scenario_source_libvirtd(s):
    """kill -9 of the source's libvirtd: the copy is lost, the VMs are not, and they move when it is back."""
    names = ["one", "two"]
    run_id, _ = mid_copy(s, *names, copying=2)
    s.lab_do("kill", "h1", "libvirtd")
    wait_until("Drover to miss libvirtd of h1", 30, lambda: not s.hosts()["h1"]["libvirt_up"])
    view = s.run_view(run_id)
    s.expect(view["run"]["state"] == "running", f"the run should wait: {view['run']}")
    s.lab_do("libvirtd", "h1", "start")
    view = judge(s, run_id, names)
    tried = [t["error"] for m in view["moves"] for t in m["tried"] or []]
    s.expect(tried and all("libvirtd of the source went away" in t for t in tried), f"tries: {tried}")


def scenario_destination_libvirtd(s):
    """kill -9 of a destination's libvirtd: the VM stays at its source and moves again."""
    names = ["one", "two"]
    run_id, moving = mid_copy(s, *names)
    host = moving[0]["to"]
    s.lab_do("kill", host, "libvirtd")
    wait_until(f"Drover to miss libvirtd of {host}", 30, lambda: not s.hosts()[host]["libvirt_up"])
    s.lab_do("libvirtd", host, "start")
    judge(s, run_id, names)


def scenario_destination_unplugged(s):
    """A destination loses power in mid-copy: its VM never stopped at the source and goes elsewhere."""
    names = ["one", "two"]
    run_id, moving = mid_copy(s, *names)
    vm, host = moving[0]["vm_name"], moving[0]["to"]
    s.lab_do("unplug", host)
    try:
        view = judge(s, run_id, names)
        m = next(m for m in view["moves"] if m["vm_name"] == vm)
        s.expect(m["to"] != host and [t["to"] for t in m["tried"]] == [host], s.moves_text(view))
        for text in (f"vm/{vm}: the agent of {host} fell silent",
                     f"vm/{vm} not moved to {host}, it is on h1 as before"):
            s.expect_in(text, s.journal(run_id), "the journal")
    finally:
        s.lab_do("plug", host)
        s.all_connected()


def scenario_link_cut(s):
    """The source's link is cut for ten seconds: guests stand still, nothing else is lost."""
    names = ["one", "two"]
    run_id, _ = mid_copy(s, *names, copying=2)
    s.lab_do("link", "h1", "cut", 10)
    judge(s, run_id, names)
    s.all_connected()


def scenario_ceph_paused(s):
    """Ceph stands still for twenty seconds: no move begins without its word, those begun are left to finish."""
    names = ["one", "two", "three"]
    s.guests({"name": "three", "host": "h2", "mem": 192, "fill": 96})
    run_id, _ = mid_copy(s, "one", "two", args=("--avoid", "h2"))
    s.lab_do("ceph", "pause")
    start = time.time() * 1e6
    try:
        refused = s.drover("drain", "h2", expect=3)
        s.expect_in("Ceph did not answer in time", refused.stderr)
        s.expect_in("nothing was moved", refused.stderr)
        wait_until("20 seconds without Ceph", 30, lambda: time.time() * 1e6 - start > 20e6, pause=0.5)
    finally:
        s.lab_do("ceph", "resume")
    end = time.time() * 1e6
    view = judge(s, run_id, ["one", "two"])
    for m in view["moves"]:
        s.expect(not start < m["confirmed_wall_us"] < end and not start < m["proven_wall_us"] < end,
                 f"{m['vm_name']} has Ceph's word from a time when Ceph stood still")
    s.expect(s.hosts()["h2"]["state"] == "up", "a refused drain leaves the host open")
    s.assert_on("three", "h2")
    s.drover("drain", "h2", "--avoid", "h1")
    s.assert_on("three", s.place("three")["three"])
    s.beats(*names)


def scenario_cancelled(s):
    """A drain is cancelled while three copies run: every VM is settled, and the next drain finds all in order."""
    names = ["one", "two", "three"]
    run_id, _ = mid_copy(s, *names, copying=2)
    s.drover("cancel", str(run_id), "-m", "changed my mind")
    view = judge(s, run_id, names, state="cancelled")
    for m in view["moves"]:
        s.expect(s.place(m["vm_name"])[m["vm_name"]] == (m["to"] if m["state"] == "done" else "h1"),
                 s.moves_text(view))
    s.expect(s.hosts()["h1"]["state"] == "up", "h1 should be open as before")
    judge(s, s.start_drain("h1"), names)
