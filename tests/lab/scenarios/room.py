"""A host that can be emptied only because a VM elsewhere makes room first."""
import json

from lablib.env import wait_until

MIB = 1 << 20
ROOM = 1250  # MiB that each host may hold here, QEMU's own memory included


def policy_text(s):
    reserve = max(h["mem_bytes"] for h in s.hosts().values()) - ROOM * MIB
    return f"version: 1\ncapacity: {{memory: {{reserve: {reserve // MIB}MiB}}}}\n"


def scenario_handed_on(s):
    """big has no place: h2 and h3 are half full. x leaves h2 for h3, and big follows into its room."""
    s.policy(policy_text(s))
    s.drover("cordon", "h4", "-m", "not in this story")
    s.guests({"name": "big", "host": "h1", "mem": 512, "fill": 96}, {"name": "x", "host": "h2", "mem": 256, "fill": 96},
             {"name": "y", "host": "h2", "mem": 512}, {"name": "z", "host": "h3", "mem": 768})
    # Nobody else is to notice: without a word, that is a refusal, and it names the way out.
    refused = s.drover("drain", "h1", expect=3)
    s.expect_in("drover drain h1 --make-room", refused.stdout + refused.stderr, "ways out")
    s.expect(s.place("big", "x") == {"big": "h1", "x": "h2"}, "a refused drain moves nothing")
    plan = s.drover("plan", "drain", "h1", "--make-room").stdout
    s.expect_in("after vm/x", plan, "plan")
    run = s.start_drain("h1", "--make-room")
    waited = []

    def waits():
        view = s.run_view(run)
        by_name = {m["vm_name"]: m for m in view["moves"]}
        if by_name.get("big", {}).get("note") == "waits for vm/x":
            waited.append(by_name["x"]["state"])
        return view["run"]["state"] in ("done", "partly", "failed", "refused")
    wait_until("the drain ends", 180, waits, pause=0.3)
    view = s.wait_run(run, "done")
    s.expect("copying" in waited and "done" not in waited, f"x while big waited: {waited}")
    moves = {m["vm_name"]: m for m in view["moves"]}
    s.expect(moves["x"]["ended_wall_us"] <= moves["big"]["copy_wall_us"], f"big began early: {s.moves_text(view)}")
    s.expect(view["run"]["moved"] == view["run"]["vms"] == 1 and view["run"]["aside"] == 1, json.dumps(view["run"]))
    s.expect(s.place("big", "x", "y", "z") == {"big": "h2", "x": "h3", "y": "h2", "z": "h3"}, str(s.place("big", "x")))
    for n, h in s.place("big", "x").items():
        s.assert_on(n, h)
    s.expect(s.hosts()["h1"]["state"] == "maintenance", "h1 should be in maintenance")
    s.beats()
