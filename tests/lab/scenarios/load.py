"""Measured load: what guests burn is what the scheduler says, and what is not measured is not known."""
import contextlib
import sqlite3

from lablib import drover, guest
from lablib.env import wait_until
from lablib.host import Host
from lablib.usage import Usage

MINUTE_US = 21000000  # so much of a minute must be measured, and a little more


def wish(name, host, burn=0):
    return {"name": name, "host": host, "mem": 128, "fill": 16, "burn": burn}


def cpu(x):
    """Its figures; those that are not known are left out, and all of them when none is."""
    return x.get("cpu", {})


def reports(s, after_us):
    """[(when, host, load)] as the scheduler was told since then, by its recorder."""
    return [(m["wall"] / 1e6, m["host"], m["body"]["load"]) for m in s.recorded("report", after_us)
            if m["body"].get("has_load")]


def judge(s, usage, after_us, *wanted):
    """Each figure that was reported since then is what the kernel counted; returns whether there is one of each (host,
    guest or None) wanted. The first of a guest has a beginning of its own."""
    last, judged = {}, set()
    names = {v["uuid"]: n for n, v in s.vms().items()}
    for when, host, load in reports(s, after_us):
        figures = {key: told for key, told in last.items() if key[0] == host}  # who is not listed is as before
        figures[host, None] = load["host"]["cpu_mcpu"]
        figures.update({(host, names.get(v["uuid"])): v.get("cpu_mcpu", -1) for v in load.get("vms", [])})
        for key, told in figures.items():
            between = usage.means(key, when, load["period_us"] / 1e6)
            if told >= 0 and last.get(key, -1) >= 0 and between:
                margin = 30 + told / 16
                s.expect(between[0] - margin <= told <= between[1] + margin, f"{key}: told {told}, really "
                         f"{between[0]:.0f} to {between[1]:.0f} over {load['period_us']} us")
                judged.add(key)
        last.update(figures)
    return judged >= set(wanted)


def scenario_follows_the_burn(s):
    """Two guests burn, one does not; then they change places. Killed agents make figures unknown."""
    keys = [("h1", "hot"), ("h1", "warm"), ("h2", "cold"), ("h1", None), ("h2", None)]
    with Usage(s.lab) as usage:
        s.guests(wish("hot", "h1", 60), wish("warm", "h1", 25), wish("cold", "h2"))
        follows(s, usage, keys, ("hot", "warm"), ("cold",))
        for name, percent in (("hot", 0), ("warm", 0), ("cold", 60)):
            guest.burn(s.lab, name, percent)
        follows(s, usage, keys, ("cold",), ("hot", "warm"))

    Host(s.lab, 2).kill("agent")
    wait_until("h2 to be unknown", 15, lambda: "now_mcpu" not in cpu(s.hosts()["h2"]), pause=0.3)
    s.expect("now_mcpu" not in cpu(s.vms()["cold"]), "the VM of a host without an agent has a figure")
    s.expect("now_mcpu" in cpu(s.hosts()["h1"]), "h1 lost its figure too")
    text = s.drover("top").stdout
    s.expect("?" in next(x for x in text.splitlines() if x.lstrip().startswith("h2")), text)
    s.drover("vms", "-o", "wide")
    drover.start_agent(Host(s.lab, 2))
    wait_until("h2 to be known again", 30, lambda: "now_mcpu" in cpu(s.hosts()["h2"]), pause=0.3)
    s.beats()


def follows(s, usage, keys, busy, idle):
    """The busy ones are soon shown as such, and what is reported from now on is true and is what is shown."""
    after_us = s.recorded_us()

    def shown():
        now = {n: cpu(v).get("now_mcpu", -1) for n, v in s.vms().items()}
        return min(now[n] for n in idle) >= 0 and min(now[n] for n in busy) > 2 * max(now[n] for n in idle)
    wait_until(f"{busy} to be shown as busy, {idle} not", 60, shown, pause=0.3)
    wait_until("reports that can be judged", 60, lambda: judge(s, usage, after_us, *keys), pause=1)

    def as_reported():
        """No report came between."""
        before = reports(s, 0)
        vms, hosts = s.vms(), s.hosts()
        if len(reports(s, 0)) != len(before):
            return False
        last = {}
        for _, host, load in before:
            last[host] = load["host"]["cpu_mcpu"]
            last.update({v["uuid"]: v.get("cpu_mcpu", -1) for v in load.get("vms", [])})
        for x in [vms[n] for n in busy + idle] + [hosts["h1"], hosts["h2"]]:
            told, is_ = last[x.get("uuid", x["name"])], cpu(x).get("now_mcpu", -1)
            s.expect(abs(told - is_) <= 1 + told / 1000, f"{x['name']}: told {told}, shown {is_}")
        return True
    wait_until("what is shown to be compared", 60, as_reported)


def scenario_goes_with_the_vm(s):
    """A VM that burns moves: its figure goes along, and the hosts' figures change places."""
    after_us = s.recorded_us()
    with Usage(s.lab) as usage:
        s.guests(wish("mover", "h1", 60))
        with s.agents("s/period: 2s/period: 30s/", "s/period: 30s/period: 2s/", "h2"):
            wait_until("h1 to be busy", 60, lambda: busy(s, "h1") and "now_mcpu" in cpu(s.vms()["mover"]), pause=0.5)
            s.wait_run(s.start_drain("h1", "--to", "h2"), "done")
            figures = cpu(s.vms()["mover"])
            s.expect(figures.get("h1_mcpu", 0) > 0, f"its past was left behind: {figures}")
            s.expect("now_mcpu" not in figures or measured_on(s, "h2", "mover", after_us), f"not measured: {figures}")
        wait_until("h2 to be busier than h1", 60, lambda: busy(s, "h2", "h1"), pause=0.5)
        wait_until("reports that can be judged", 60,
                   lambda: judge(s, usage, after_us, ("h1", None), ("h2", None), ("h2", "mover")), pause=1)
    s.beats()


def measured_on(s, host, name, after_us):
    uuid = s.vms()[name]["uuid"]
    return any(h == host and v["uuid"] == uuid for _, h, load in reports(s, after_us) for v in load.get("vms", []))


def busy(s, one, other="h3"):
    """Busier than another, where nothing runs."""
    now = {n: cpu(h).get("now_mcpu", -1) for n, h in s.hosts().items()}
    return now[one] > 2 * now[other] >= 0


def stored(s):
    """{name: mean of an hour} of the table."""
    with contextlib.closing(sqlite3.connect(f"file:{s.lab.path('drover', 'drover.db')}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT name, h1_mcpu FROM samples"))


def measured(s, enough_us):
    """Until so much of one minute of the scheduler's clock has been reported of h1. What changes is reported at once."""
    after_us, percent = s.recorded_us(), 60

    def covered():
        nonlocal percent
        percent = 80 - percent
        guest.burn(s.lab, "hot", percent)
        minutes = {}
        for when, host, load in reports(s, after_us):
            if host == "h1":
                minutes[when // 60] = minutes.get(when // 60, 0) + load["period_us"]
        return max(minutes.values(), default=0) >= enough_us
    wait_until(f"{enough_us} us of a minute to be measured", 60, covered, pause=3)


def scenario_kept_over_a_restart(s):
    """Five minutes of the wall clock, two of them measured: an orderly stop stores it, the next scheduler knows it."""
    s.guests(wish("hot", "h1", 60))
    wait_until("its load to be known", 30, lambda: "now_mcpu" in cpu(s.vms()["hot"]), pause=0.5)
    s.next_minute(0, step=5)
    for jump in ({}, {"step": 5}):
        measured(s, MINUTE_US)
        s.next_minute(0, **jump)
    measured(s, 1)
    known = cpu(s.vms()["hot"])["h1_mcpu"]
    s.lab_do("scheduler", "stop")
    rows = stored(s)
    s.expect(rows.keys() >= {"hot", "h1"}, f"{rows}")
    s.expect(abs(rows["hot"] - known) <= 1 + known / 100, f"the row of hot: {rows['hot']}, shown {known}")
    for how in ("stop", "kill"):
        s.lab_do("scheduler", "start")
        again = cpu(s.vms()["hot"]).get("h1_mcpu", -1)
        s.expect(abs(again - rows["hot"]) <= 1 + known / 100, f"hot after {how}: {again}, stored {rows['hot']}")
        top = s.drover("top", "--columns", "host,cpu-1h", "--no-headers").stdout
        s.expect(any(line.startswith("h1") and line.endswith("%") for line in top.splitlines()), top)
        if how == "stop":
            s.lab_do("scheduler", "kill")
    s.all_connected()
    wait_until("it to be measured again", 30, lambda: "now_mcpu" in cpu(s.vms()["hot"]), pause=0.5)
    s.beats()
