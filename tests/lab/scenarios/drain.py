"""Drains that go well, and what an operator may do to one on its way."""
import json
import signal
import time

from lablib import guest
from lablib.env import wait_until
from scenarios.badinput import Api

FLEET = [  # mixed sizes; fill: MiB of incompressible pages; dirty: KiB written anew per second
    ("web-1", 128, 16, 0), ("web-2", 128, 16, 0), ("web-3", 128, 32, 512), ("mail-1", 128, 32, 0),
    ("cache-1", 160, 48, 4096), ("db-1", 192, 64, 2048), ("db-2", 192, 64, 1024), ("build-1", 224, 96, 8192)]


def wish(name, host="h1", fill=32, dirty=0, **more):
    return dict({"name": name, "host": host, "mem": fill + 96, "fill": fill, "dirty": dirty}, **more)


def known(what, probe):
    """`drover vms` knows of something that has just been done; how soon: bench-events."""
    wait_until(what, 60, probe, pause=0.02)


def labels_of(s, name):
    return {x["key"]: x["value"] for x in s.vms()[name].get("labels", [])}


def images_of(m, key):
    return {i["target"]: i for i in m.get(key, [])}


def assert_proven(s, view):
    """What is stored with each move that was done: confirmed by both hosts, then proven."""
    addresses = {f"h{i}": f"10.77.0.{10 + i}:" for i in s.lab.hosts()}
    for m in view["moves"]:
        if m["state"] != "done" or not m["live"]:
            continue
        src, dst, after = (images_of(m, k) for k in ("ceph_src", "ceph_dst", "ceph_after"))
        s.expect(set(src) == set(dst) == set(after) == {"vda"}, f"{m['vm_name']}: disks {src} {dst} {after}")
        for key in ("fsid", "pool_id", "image_id"):
            seen = {f["vda"][key] for f in (src, dst, after)}
            s.expect(len(seen) == 1 and None not in seen, f"{m['vm_name']}: {key} {seen}")
        for facts, host in ((src, m["from"]), (dst, m["from"]), (after, m["to"])):
            who = [w["address"] for w in facts["vda"]["watchers"] + facts["vda"]["lockers"]]
            s.expect(facts["vda"]["watchers"] and all(w.startswith(addresses[host]) for w in who),
                     f"{m['vm_name']}: watchers and owners {who}, expected those of {host} only")


def scenario_eight(s):
    """Eight guests leave h1 live, at once, and come home again; every image has one writer throughout."""
    names = [g[0] for g in FLEET]
    s.hold(wait=False)
    s.guests(*[wish(n, fill=f, dirty=d, mem=m) for n, m, f, d in FLEET], wish("spare", start=False))
    before = s.json("journal", "--limit", "1")["entries"][-1]["seq"]
    s.wait_policy()
    drain = s.begin("drain", "h1", "-m", "new firmware", "--progress", "plain")
    drain.wait_text("following run/")
    run_id = s.json("runs")["runs"][0]["id"]
    s.wait_copying(run_id, 2)
    # The same drain asked for twice is one drain.
    second = s.json("drain", "h1", "--detach")
    s.expect(second["run"] == run_id and second["joined"], f"a second drain: {second}")
    third = s.begin("attach", str(run_id), "--progress", "plain")
    third.wait_text("following run/")
    s.release(run_id)
    out, err = drain.end(0)
    s.expect_in("host/h1 drained: 8 of 8 VMs moved live", out)
    s.expect_in("0 stopped", out)
    s.expect_in("proven empty", out)
    s.expect_in("host/h1 drained: 8 of 8 VMs moved live", third.end(0)[0], "what attach printed")
    for n in names:
        s.expect_in(f"vm/{n} moved h1 → ", err, "the progress")

    view = s.wait_run(run_id, "done")
    run, host = view["run"], s.hosts()["h1"]
    s.expect((run["moved"], run["vms"], run["stopped"], run["blocked"]) == (8, 8, 0, 0), f"counts: {run}")
    s.expect(host["state"] == "maintenance" and "new firmware" in host["reason"], f"h1 is {host}")
    left = s.virsh("h1", "list --all --name").stdout.split()
    s.expect(not left, f"h1 still knows {left}")
    where, vms = s.place(*names), s.vms()
    for n, h in where.items():
        s.expect(h != "h1" and h == vms[n]["host"], f"{n}: libvirt says {h}, Drover {vms[n]['host']}")
    s.expect(len(set(where.values())) == 3, f"all of h2, h3 and h4 should have taken some: {where}")
    s.expect(s.where("spare")["hosts"]["h1"] == "absent" and s.vms()["spare"]["host"] != "h1",
             "the shut-off VM's definition should have moved along")
    s.beats(*names)
    assert_proven(s, view)
    ceph = s.drover("run", str(run_id), "--ceph").stdout
    for text in ("BEFORE, SEEN BY h1", "AFTER, SEEN BY", "watchers", "lock owner", "image id"):
        s.expect_in(text, ceph)

    guest.mark(s.lab, "home")
    out = s.drover("resume", "h1", "--bring-home", timeout=240).stdout
    s.expect_in("VMs brought home", out)
    where = s.place(*names)
    s.expect(set(where.values()) == {"h1"}, f"all should be home: {where}")
    s.expect(s.hosts()["h1"]["state"] == "up", "h1 should be up")
    s.beats(*names)
    # None of all that was somebody else's doing.
    strangers = [e["text"] for e in s.json("journal", "--limit", "1000")["entries"] if e["seq"] > before
                 and e["kind"] == "vm.foreign"]
    s.expect(not strangers, f"Drover takes its own moves for those of others: {strangers}")


def scenario_forecast(s):
    """The rate at which guests write is measured, and then the plan says how long it will take and what pauses to expect."""
    s.guests(wish("busy", fill=64, dirty=16384), wish("idle", fill=64))

    def rates():
        """As told, when both are, and what QEMU itself says of its last measurement."""
        told = {n: v.get("dirty_Bps", -1) for n, v in s.vms().items()}
        return min(told.values()) >= 0 and (told, {n: s.virsh("h1", f"domstats --dirtyrate {n}").stdout for n in told})
    told, own = wait_until("both dirty rates", 60, rates)
    for n, told_Bps in told.items():
        s.expect(f"dirtyrate.megabytes_per_second={told_Bps >> 20}" in own[n], f"{n}: told {told_Bps}, {own[n]}")
    s.expect(told["busy"] > 2 * told["idle"], f"measured: {told}")
    plan = s.drover("plan", "drain", "h1").stdout
    s.expect("if guests write" not in plan and "worst pause ≈" in plan, f"the forecast: {plan}")
    s.expect_in("DIRTY", s.drover("vms", "-o", "wide").stdout)
    s.drover("drain", "h1")
    run = s.json("runs")["runs"][0]
    took = run["ended_wall_us"] - run["started_wall_us"]
    print(f"  forecast {run['forecast']['makespan_us'] / 1e6:.1f} s, measured {took / 1e6:.1f} s")
    s.beats("busy", "idle")


def scenario_events(s):
    """What others do to a domain is known by libvirt's events, also in the middle of a drain."""
    s.guests(*[wish(n, dirty=2048) for n in ("one", "two", "three")])
    with s.agents("$a resync: 10m", "$d"):  # what is known before that was told by an event
        others_hands(s)


def others_hands(s):
    def state(name, wanted):
        return s.vms().get(name, {}).get("state") == wanted

    def on(name, host):
        return s.vms().get(name, {}).get("host") == host
    s.virsh("h1", "destroy three")
    known("the stop", lambda: state("three", "shutoff"))
    s.virsh("h1", "start three")
    known("the start", lambda: state("three", "running"))
    s.virsh("h1", "suspend three")
    known("the pause", lambda: state("three", "paused"))
    s.virsh("h1", "resume three")
    known("the end of the pause", lambda: state("three", "running"))
    by_hand = "migrate --live --p2p --persistent --undefinesource --tls {} qemu+tls://{}/system"
    s.virsh("h1", by_hand.format("three", "h2"))
    known("a move by hand", lambda: on("three", "h2"))
    s.virsh("h2", by_hand.format("three", "h1"))
    known("the move back", lambda: on("three", "h1"))
    known("the end of the job", lambda: s.vms()["three"]["movable"])

    # Labels are libvirt's own metadata, in the running domain and in its definition, and go with it.
    out = s.drover("label", "vm/three", "app=a<b", "tier=1").stdout
    s.expect_in("vm/three on host/h1: app=a<b, tier=1", out, "drover label")
    known("the labels", lambda: labels_of(s, "three") == {"app": "a<b", "tier": "1"})
    for which in ("--live", "--config"):
        xml = s.virsh("h1", f"metadata three urn:drover:libvirt:1 {which}").stdout
        s.expect_in('key="app" value="a&lt;b"', xml, f"the metadata {which}")
    s.drover("label", "vm/three", "app-")
    known("the label's end", lambda: labels_of(s, "three") == {"tier": "1"})

    # A move by hand while Drover drains: one VM leaves before its turn, another comes.
    s.hold(wait=False)
    s.guests(wish("four", host="h4"))
    guest.mark(s.lab, "drain")
    run_id = s.start_drain("h1", "--parallel", "1")
    s.wait_copying(run_id)
    waits = [m["vm_name"] for m in s.run_view(run_id)["moves"] if m["state"] == "queued"][-1]
    s.virsh("h1", by_hand.format(waits, "h3"))
    s.virsh("h4", by_hand.format("four", "h1"))
    known("who left", lambda: on(waits, "h3"))
    known("who came", lambda: on("four", "h1"))
    s.release(run_id)
    view = s.wait_run(run_id, "done")
    place = s.place("one", "two", "three", "four")
    s.expect(place[waits] == "h3" and "h1" not in place.values(), f"{place}")
    s.expect(not s.virsh("h1", "list --name").stdout.split(), "h1 is not empty")
    s.expect_in(f"vm/{waits}: it left h1, not by Drover; it is on h3", s.journal(run_id), "the journal")
    s.expect_in("vm/four came to h1 meanwhile; it leaves too", s.journal(run_id), "the journal")
    moved = {m["vm_name"]: m["state"] for m in view["moves"]}
    s.expect(moved.pop(waits) == "cancelled" and set(moved.values()) == {"done"}, f"moves: {moved}")
    s.expect(labels_of(s, "three") == {"tier": "1"}, f"labels after the drain: {s.vms()['three']}")
    s.beats("one", "two", "four", since_mark=True)


def scenario_two_hosts(s):
    """Two hosts are drained at the same moment: neither sends a VM to the other."""
    s.guests(wish("a1"), wish("a2"), wish("b1", host="h2"), wish("b2", host="h2"))
    api = {h: Api(s) for h in ("h1", "h2")}
    s.lab.signal_daemon("drover-scheduler", signal.SIGSTOP)  # both requests are there when it looks
    try:
        for h, a in api.items():
            a.request("POST", "/v1/requests", json.dumps({"verb": "drain", "host": h}))
    finally:
        s.lab.signal_daemon("drover-scheduler", signal.SIGCONT)
    for h, a in api.items():
        run_id = json.loads(a.getresponse().read())["run"]
        a.close()
        for m in s.wait_run(run_id, "done")["moves"]:
            s.expect(m["to"] in ("h3", "h4") and not m.get("tried"), s.moves_text(s.run_view(run_id)))
    place = s.place("a1", "a2", "b1", "b2")
    s.expect(set(place.values()) <= {"h3", "h4"}, f"{place}")
    # A host in maintenance takes nothing, a cordoned one neither; both say so.
    s.drover("cordon", "h3", "-m", "odd noise")
    s.expect(s.hosts()["h3"]["state"] == "cordoned", "h3 should be cordoned")
    there = [n for n, h in place.items() if h == "h4"]
    s.expect(there, "h4 should have got some of the four")
    why = s.drover("explain", there[0]).stdout
    for text in ("h1", "maintenance", "h3", "cordoned"):
        s.expect_in(text, why, "explain")
    refused = s.drover("drain", "h4", expect=3)
    s.expect_in("nothing was moved", refused.stdout + refused.stderr)
    s.expect(s.hosts()["h4"]["state"] == "up", "a refused drain leaves the host open")
    s.drover("resume", "h3")
    s.expect(s.hosts()["h3"]["state"] == "up", "h3 should be up")
    s.drover("resume", "h1")
    # Told where to go, and where not to.
    view = s.wait_run(s.start_drain("h4", "--avoid", "h3"), "done")
    s.expect({m["to"] for m in view["moves"]} == {"h1"}, f"--avoid h3: {s.moves_text(view)}")
    s.drover("resume", "h4")
    s.drover("drain", "h1", "--to", "h4")
    s.expect(set(s.place(*there).values()) == {"h4"}, f"--to h4: {s.place(*there)}")
    s.beats()


def scenario_options(s):
    """--timeout and Ctrl-C leave, the run goes on; cancel stops it in mid-copy; --deadline starts no more."""
    names = ["one", "two", "three"]
    s.hold(wait=False)
    s.guests(*[wish(n, dirty=2048) for n in names])
    s.wait_policy()
    left = s.drover("drain", "h1", "--parallel", "1", "--timeout", "2s", expect=124)
    s.expect_in("goes on", left.stderr)
    run_id = s.json("runs")["runs"][0]["id"]
    s.expect(s.run_view(run_id)["run"]["state"] == "running", "the run should go on after --timeout")
    s.wait_copying(run_id)
    follow = s.begin("attach", str(run_id), "--progress", "plain")
    follow.wait_text("following run/")
    follow.interrupt()
    _, err = follow.end(130)
    s.expect_in("detached", err)
    view = s.run_view(run_id)
    s.expect(view["run"]["state"] == "running", "the run should go on after Ctrl-C")
    s.expect(view["run"]["moving"] <= 1, f"--parallel 1, but {view['run']['moving']} move")

    # Cancel while memory flows: what has not moved stays, running, and nothing of it is elsewhere.
    s.wait_copying(run_id)
    out = s.drover("cancel", str(run_id)).stdout  # one that waits for the copy's own end would wait for ever
    s.expect_in("cancelled", out)
    view = s.wait_run(run_id, "cancelled")
    place = s.place(*names)
    s.expect(set(place.values()) == {"h1"}, f"{place}\n{s.moves_text(view)}")
    s.expect(s.hosts()["h1"]["state"] == "up", "h1 should be open as before")
    s.expect(not any(v.get("run") for v in s.vms().values()), "no VM is in a run")
    s.beats()

    # A deadline that passes while the first is copied: it may end, the others stay and say why.
    drain = s.begin("drain", "h1", "--parallel", "1", "--deadline", "10m")
    drain.wait_text("following run/")
    run_id = s.json("runs")["runs"][0]["id"]
    s.wait_copying(run_id)
    s.clock_ahead(minutes=11)
    s.release(run_id)
    s.expect_in("deadline", "".join(drain.end(4)))
    view = s.run_view(run_id)
    s.expect(view["run"]["state"] == "partly" and view["run"]["moved"] == 1, s.moves_text(view))
    late = [st["name"] for st in view["run"]["stays"]]
    s.expect(len(late) == 2 and all(r["code"] == "deadline" for st in view["run"]["stays"] for r in st["reasons"]),
             json.dumps(view["run"]["stays"]))
    place = s.place(*names)
    s.expect({n for n, h in place.items() if h == "h1"} == set(late), f"{place}")
    s.expect(s.hosts()["h1"]["state"] == "cordoned", "a host that is not empty stays closed")
    s.beats()


def scenario_check(s):
    """`drover check` passes two sound hosts and finds what is broken, with the cure."""
    def check(*args):
        got = s.drover("check", *args, expect=None)
        return got.returncode, got.stdout
    for args in (("h1",), ("pair", "h1", "h2")):
        code, text = check(*args)
        s.expect(code in (0, 1) and "FAIL" not in text, f"check {' '.join(args)}: {code}\n{text}")
        s.expect_in("PASS", text)
    s.lab_do("kill", "h2", "libvirtd")
    try:
        wait_until("Drover to see that libvirtd is gone", 5, lambda: not s.hosts()["h2"]["libvirt_up"])
        for args in (("h2",), ("pair", "h1", "h2")):
            code, text = check(*args)
            s.expect(code == 2 and "CRITICAL" in text.splitlines()[0], f"check {' '.join(args)}: {code}\n{text}")
            s.expect_in("→", text, "the cure")
    finally:
        s.lab_do("libvirtd", "h2", "start")
    wait_until("h2 to be sound again", 30, lambda: check("h2")[0] in (0, 1), pause=0.5)
    s.expect(check("pair", "h1", "h2")[0] in (0, 1), "the pair should be sound again")
