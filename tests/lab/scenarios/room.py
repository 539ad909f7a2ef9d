"""Room that VMs make by leaving: for others of a drain, and for a large VM that is to come."""
import json

from lablib.env import wait_until

MIB = 1 << 20
ROOM = 1250  # MiB that each host may hold here, QEMU's own memory included


def policy_text(s):
    reserve = max(h["mem_bytes"] for h in s.hosts().values()) - ROOM * MIB
    return f"version: 1\ncapacity: {{memory: {{reserve: {reserve // MIB}MiB}}}}\n"


def scenario_handed_on(s):
    """big has no place: h2 and h3 are half full. x leaves h2 for h3, and big follows into its room."""
    s.hold(policy_text(s), wait=False)
    s.drover("cordon", "h4", "-m", "not in this story")
    s.guests({"name": "big", "host": "h1", "mem": 512, "fill": 64},
             {"name": "x", "host": "h2", "mem": 256, "fill": 64, "dirty": 2048},
             {"name": "y", "host": "h2", "mem": 512}, {"name": "z", "host": "h3", "mem": 768})
    s.wait_policy()
    # Nobody else is to notice: without a word, that is a refusal, and it names the way out.
    refused = s.drover("drain", "h1", expect=3)
    s.expect_in("drover drain h1 --make-room", refused.stdout + refused.stderr, "ways out")
    s.expect(s.place("big", "x") == {"big": "h1", "x": "h2"}, "a refused drain moves nothing")
    plan = s.drover("plan", "drain", "h1", "--make-room").stdout
    s.expect_in("after vm/x", plan, "plan")
    run = s.start_drain("h1", "--make-room")
    s.wait_copying(run)

    def big_waits():
        by_name = {m["vm_name"]: m for m in s.run_view(run)["moves"]}
        s.expect(by_name["x"]["state"] == "copying" and by_name["big"]["state"] == "queued", f"{by_name}")
        return by_name["big"]["note"] == "waits for vm/x"
    wait_until("big to wait for x", 30, big_waits)
    s.release(run)
    view = s.wait_run(run, "done")
    moves = {m["vm_name"]: m for m in view["moves"]}
    s.expect(moves["x"]["ended_wall_us"] <= moves["big"]["copy_wall_us"], f"big began early: {s.moves_text(view)}")
    s.expect(view["run"]["moved"] == view["run"]["vms"] == 1 and view["run"]["aside"] == 1, json.dumps(view["run"]))
    place = s.place("big", "x", "y", "z")
    s.expect(place == {"big": "h2", "x": "h3", "y": "h2", "z": "h3"}, f"{place}")
    s.expect(s.hosts()["h1"]["state"] == "maintenance", "h1 should be in maintenance")
    s.beats()


def scenario_for_a_large_vm(s):
    """Three hosts with one guest each: room for more than a host has left is made by one move, once; for more than a host holds it is refused."""
    s.policy(policy_text(s))
    s.drover("cordon", "h4", "-m", "not in this story")
    names = {"a": "h1", "b": "h2", "c": "h3"}
    s.guests(*[{"name": n, "host": h, "mem": 128, "fill": 24} for n, h in names.items()])
    free = max(s.hosts()[h]["mem_free_bytes"] for h in names.values())
    wanted = (free + ROOM * MIB) // 2 // MIB  # more than is free, less than an empty host has
    size = f"{wanted}MiB"

    refused = s.drover("balance", "--memory", f"{ROOM + 1}MiB", expect=3)
    s.expect_in("no room for a VM of", refused.stdout + refused.stderr, "a VM that is larger than a host")
    s.expect_in("beside what may not move", refused.stdout + refused.stderr, "the proof")
    plan = s.drover("plan", "make-room", "--memory", size).stdout
    s.expect_in("1 move planned: room for a VM of", plan, "the plan")
    s.expect(s.place(*names) == names, "neither moves anything")

    run = s.json("balance", "--memory", size, "-m", "a large one comes", "--detach")["run"]
    view = s.wait_run(run, "done")
    room, moves = view["run"]["room"], [m for m in view["moves"] if m["state"] == "done"]
    s.expect(len(moves) == 1 and moves[0]["from"] == room["host"], s.moves_text(view))
    s.expect(room["before_bytes"] < wanted * MIB <= room["after_bytes"], json.dumps(room))
    s.expect(s.hosts()[room["host"]]["mem_free_bytes"] == room["after_bytes"], json.dumps(s.hosts()[room["host"]]))
    s.expect_in(f"on host/{room['host']}: ", s.drover("runs", str(run), "--why").stdout, "runs --why")
    again = s.json("balance", "--memory", size, "--detach")["run"]
    view = s.wait_run(again, "done")
    s.expect(not view["moves"] and view["run"]["room"]["host"] == room["host"], view["run"]["message"])
    s.place(*names)
    s.beats(*names)
