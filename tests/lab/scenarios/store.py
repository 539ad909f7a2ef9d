"""The scheduler's database is damaged, locked, full or read-only: nothing is lost, and people are told what to do."""
import contextlib
import os
import shutil
import signal
import sqlite3

from lablib import drover
from lablib.env import run, wait_until, write
from scenarios.badinput import (Api, apart, config_text, health, journal_kinds, said, scheduler_log,
                                second_scheduler, unchanged, wont_start)


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
    """Guests a and b on h1, that do not arrive before they are let go, c on h2."""
    s.hold(wait=False)
    s.guests(*[{"name": n, "host": "h1", "fill": 48, "mem": 144, "dirty": 2048} for n in "ab"], {"name": "c", "host": "h2"})
    s.wait_policy()


def fails_mid_drain(s, disk, fail, *needles):
    """A drain is under way when the store fails: nothing new is begun, and everybody is told. Gives run and log."""
    log = scheduler_log(s)
    run_id = s.start_drain("h1", "--parallel", "1")
    moving = s.wait_copying(run_id)[0]["vm_name"]
    waiting = {"a": "b", "b": "a"}[moving]
    fail()

    def failed():
        s.drover("plan", "drain", "h2", expect=None)  # something to be written down; a copy that crawls is not
        return health(s)["store"] != "ok"
    wait_until("the store to fail", 60, failed, pause=0.2)
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
    s.virsh("h1", f"migrate-setspeed {moving} 1000")
    wait_until(f"{moving} to arrive", 60, lambda: s.where(moving)["hosts"]["h1"] in ("absent", "shut off"))
    s.expect(s.where(waiting)["hosts"]["h1"] == "running", f"{waiting} was moved while nothing could be written down")
    s.beats("a", "b", "c")
    return run_id, log


def goes_on(s, run_id, term):
    """The store works again: the run ends by itself, and nothing was issued twice."""
    s.release(run_id)
    view = s.wait_run(run_id, "done")
    s.expect(health(s)["store"] == "ok" and health(s)["term"] > term, f"{health(s)}")
    s.expect((view["run"]["moved"], view["run"]["stopped"]) == (2, 0), f"{view['run']}")
    issued = [e["text"] for e in view["entries"] if e["kind"] == "move.copying"]
    s.expect(len(issued) == 2, f"moves were issued twice: {issued}")
    place = s.place("a", "b")
    s.expect("h1" not in place.values(), f"{place}")
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
