"""Measured load: what guests burn is what the scheduler says, and what is not measured is not known."""
import contextlib
import sqlite3
import time

from lablib import drover, guest
from lablib.env import wait_until
from lablib.host import Host

LAB = {"hosts": 2}
MARGIN = 130  # thousandths of a CPU; an idle guest takes 30 under TCG


def wish(name, host, burn=0):
    return {"name": name, "host": host, "mem": 128, "fill": 16, "burn": burn}


def used_us(s, name, host):
    """CPU time of its QEMU by the kernel's own count, of which libvirt knows nothing."""
    stat = s.host_run(host, ["sh", "-c", f"cat /proc/$(cat /run/libvirt/qemu/{name}.pid)/stat"]).stdout
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10000


def measure(s, placed, seconds):
    """Thousandths of a CPU that each guest really used."""
    before, start = {n: used_us(s, n, h) for n, h in placed.items()}, time.monotonic()
    time.sleep(seconds)
    after, took = {n: used_us(s, n, h) for n, h in placed.items()}, time.monotonic() - start
    return {n: (after[n] - before[n]) / took / 1000 for n in placed}


def cpu(x):
    """Its figures; those that are not known are left out, and all of them when none is."""
    return x.get("cpu", {})


def near(s, what, is_, want):
    s.expect(is_ is not None and abs(is_ - want) <= MARGIN + want / 8, f"{what}: shown {is_}, really {want:.0f}")


def scenario_follows_the_burn(s):
    """Two guests burn, one does not; then they change places. Killed agents make figures unknown."""
    placed = {"hot": "h1", "warm": "h1", "cold": "h2"}
    s.guests(wish("hot", "h1", 60), wish("warm", "h1", 25), wish("cold", "h2"))
    time.sleep(8)
    real, vms, hosts = measure(s, placed, 12), s.vms(), s.hosts()
    for name in placed:
        near(s, name, cpu(vms[name]).get("now_mcpu"), real[name])
    s.expect(real["hot"] > real["warm"] + 150 > real["cold"] + 200, f"they do not burn as told: {real}")
    h1, h2 = cpu(hosts["h1"])["now_mcpu"], cpu(hosts["h2"])["now_mcpu"]
    near(s, "h1", h1, real["hot"] + real["warm"] + 60)
    near(s, "h2", h2, real["cold"] + 60)
    for name, percent in (("hot", 0), ("warm", 0), ("cold", 60)):
        guest.burn(s.lab, name, percent)
    time.sleep(10)
    real, vms = measure(s, placed, 10), s.vms()
    for name in placed:
        near(s, f"{name}, later", cpu(vms[name]).get("now_mcpu"), real[name])
    s.expect(real["cold"] > real["hot"] + 200, f"they did not change places: {real}")

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


def scenario_goes_with_the_vm(s):
    """A VM that burns moves: its figure goes along, and the hosts' figures change places."""
    s.guests(wish("mover", "h1", 60))
    wait_until("its load to be known", 30, lambda: cpu(s.vms()["mover"]).get("now_mcpu", 0) > 300, pause=0.5)
    run_id = s.start_drain("h1")
    s.wait_run(run_id, "done")
    past = cpu(s.vms()["mover"])
    s.expect(past.get("h1_mcpu", 0) > 200, f"its past was left behind: {past}")
    wait_until("h2 to be busy", 30, lambda: cpu(s.hosts()["h2"]).get("now_mcpu", 0) > 350, pause=0.5)
    wait_until("h1 to be idle", 30, lambda: 0 <= cpu(s.hosts()["h1"]).get("now_mcpu", -1) < 250, pause=0.5)
    s.beats()


def stored(s):
    """{name: mean of an hour} of the table."""
    with contextlib.closing(sqlite3.connect(f"file:{s.lab.path('drover', 'drover.db')}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT name, h1_mcpu FROM samples"))


def scenario_kept_over_a_restart(s):
    """Five minutes of the wall clock, of which a third is measured: an orderly stop stores it, the next scheduler knows it."""
    s.guests(wish("hot", "h1", 60))
    wait_until("its load to be known", 30, lambda: cpu(s.vms()["hot"]).get("now_mcpu", 0) > 300, pause=0.5)
    s.next_minute(0, step=5)
    for jump in ({}, {"step": 5}):
        time.sleep(20)
        guest.burn(s.lab, "hot", 20)  # what changes is reported at once
        time.sleep(5)
        s.next_minute(0, **jump)
        guest.burn(s.lab, "hot", 60)
    time.sleep(5)
    known = cpu(s.vms()["hot"])["h1_mcpu"]
    s.lab_do("scheduler", "stop")
    rows = stored(s)
    s.expect(rows.keys() >= {"hot", "h1"}, f"{rows}")
    near(s, "the row of hot", rows["hot"], known)
    for how in ("stop", "kill"):
        s.lab_do("scheduler", "start")
        near(s, f"hot after {how}", cpu(s.vms()["hot"]).get("h1_mcpu"), rows["hot"])
        top = s.drover("top", "--columns", "host,cpu-1h", "--no-headers").stdout
        s.expect(any(line.startswith("h1") and line.endswith("%") for line in top.splitlines()), top)
        if how == "stop":
            s.lab_do("scheduler", "kill")
    s.all_connected()
    wait_until("it to be measured again", 30, lambda: "now_mcpu" in cpu(s.vms()["hot"]), pause=0.5)
    s.beats()
