#!/usr/bin/python3
"""The checker must be able to say no: synthetic streams with every kind of damage."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from lablib.beats import (SECTOR, Arrival, Beat, judge, log_line, pack, parse_log,  # noqa: E402
                          parse_ring, unpack)

MS = 10**6
PERIOD = 100
A, B = 0xA, 0xB


def beat(n, boot=A, uptime_ms=None, failed=0, capacity=1000):
    uptime = (n * PERIOD if uptime_ms is None else uptime_ms) * MS
    return Beat("g", n, boot, uptime, uptime, failed, PERIOD, capacity, "52:54:00:4d:00:01")


def arrival(b, at_ms=None):
    at = (b.n * PERIOD if at_ms is None else at_ms) * MS
    return Arrival(b.n, b.boot, b.uptime_ns, b.sent_ns, at, b.failed, b.period_ms)


def stream(count, **kw):
    disk = [beat(n, **kw) for n in range(count)]
    return disk, [arrival(b) for b in disk]


def verdict(disk, arrivals, **kw):
    end = max((a.at_ns for a in arrivals), default=0)
    kw.setdefault("now_ns", end + 50 * MS)
    return judge(disk, arrivals, **kw)


class Judge(unittest.TestCase):
    def test_intact(self):
        f = verdict(*stream(50))
        self.assertTrue(f["intact"], f)
        self.assertEqual((f["beats"], f["lost"], f["repeated"]), (50, 0, 0))
        self.assertEqual(f["longest_pause_ms"], 0)
        self.assertEqual(f["last_age_ms"], 50)

    def test_lost_on_disk(self):
        disk, seen = stream(50)
        f = verdict(disk[:20] + disk[23:], seen)
        self.assertEqual(f["lost"], 3)
        self.assertFalse(f["intact"])

    def test_unseen_datagrams_are_no_loss(self):
        disk, seen = stream(50)
        f = verdict(disk, seen[:20] + seen[23:])
        self.assertEqual((f["unseen"], f["intact"]), (3, True))
        self.assertEqual(f["longest_pause_ms"], 300)
        self.assertEqual(f["longest_stop_ms"], 0)

    def test_repeated(self):
        disk, seen = stream(50)
        f = verdict(disk, seen + [seen[30]._replace(at_ns=seen[49].at_ns + MS)])
        self.assertEqual((f["repeated"], f["intact"]), (1, False))

    def test_two_instances(self):
        """A stale copy goes on: same boot, same numbers, other uptimes."""
        disk, seen = stream(50)
        stale = [s._replace(uptime_ns=s.uptime_ns + 7, at_ns=s.at_ns + 3 * MS) for s in seen[30:]]
        f = verdict(disk, seen + stale)
        self.assertEqual((f["repeated"], f["contradicting"], f["intact"]), (20, 20, False))

    def test_reboot(self):
        disk, seen = stream(30)
        again = [beat(n, boot=B, uptime_ms=(n - 30) * PERIOD) for n in range(30, 50)]
        f = verdict(disk + again, seen + [arrival(b) for b in again])
        self.assertEqual((f["boots"], f["same_boot"], f["intact"]), (2, False, False))
        self.assertEqual((f["lost"], f["disordered"]), (0, 0))

    def test_reboot_before_the_mark(self):
        disk, seen = stream(30)
        again = [beat(n, boot=B, uptime_ms=(n - 30) * PERIOD) for n in range(30, 50)]
        f = verdict(disk + again, seen + [arrival(b) for b in again], since_ns=30 * PERIOD * MS)
        self.assertTrue(f["intact"], f)

    def test_old_boot_writes_after_the_new_one(self):
        disk, seen = stream(30)
        again = [beat(n, boot=B, uptime_ms=(n - 30) * PERIOD) for n in range(30, 50)]
        again[10] = beat(40)
        f = verdict(disk + again, seen)
        self.assertGreater(f["disordered"], 0)
        self.assertFalse(f["intact"])

    def test_uptime_must_rise(self):
        disk, seen = stream(50)
        disk[20] = beat(20, uptime_ms=19 * PERIOD)
        self.assertGreater(verdict(disk, seen)["disordered"], 0)

    def test_pause(self):
        """The guest's clock stands still for 700 ms at beat 30."""
        disk = [beat(n) for n in range(50)]
        seen = [arrival(b, b.n * PERIOD + (700 if b.n >= 30 else 0)) for b in disk]
        f = verdict(disk, seen)
        self.assertTrue(f["intact"])
        self.assertEqual((f["longest_pause_ms"], f["longest_stop_ms"]), (700, 700))
        self.assertEqual(f["pause_at_ns"], 29 * PERIOD * MS)

    def test_slow_disk_is_a_pause_and_no_stop(self):
        """The write of beat 30 takes 700 ms; the guest's clock goes on."""
        disk = [beat(n, uptime_ms=n * PERIOD + (700 if n > 30 else 0)) for n in range(50)]
        late = [b._replace(sent_ns=(b.n * PERIOD + (700 if b.n >= 30 else 0)) * MS) for b in disk]
        f = verdict(disk, [arrival(b, b.sent_ns // MS) for b in late])
        self.assertTrue(f["intact"], f)
        self.assertEqual((f["longest_pause_ms"], f["longest_stop_ms"]), (700, 0))

    def test_pause_before_the_mark_is_not_counted(self):
        disk = [beat(n) for n in range(50)]
        seen = [arrival(b, b.n * PERIOD + (700 if b.n >= 10 else 0)) for b in disk]
        self.assertEqual(verdict(disk, seen, since_ns=2500 * MS)["longest_pause_ms"], 0)

    def test_failed_write(self):
        disk, seen = stream(20)
        later = [beat(n, failed=1) for n in range(20, 40)]
        f = verdict(disk + later[1:], seen + [arrival(b) for b in later])
        self.assertEqual((f["failed_writes"], f["lost"], f["intact"]), (1, 1, False))

    def test_failed_write_that_only_the_collector_knows(self):
        disk, seen = stream(20)
        later = [arrival(beat(n, failed=n - 19)) for n in range(20, 40)]
        f = verdict(disk, seen + later)
        self.assertEqual((f["failed_writes"], f["intact"]), (20, False))

    def test_silent(self):
        disk, seen = stream(20)
        f = verdict(disk, seen, now_ns=60_000 * MS)
        self.assertFalse(f["intact"])

    def test_nothing(self):
        self.assertFalse(verdict([], [])["intact"])
        disk, seen = stream(20)
        self.assertFalse(verdict([], seen)["intact"])
        self.assertFalse(verdict(disk, [])["intact"])
        self.assertFalse(verdict(disk, seen, since_ns=10**15)["intact"])

    def test_ring_wraps(self):
        disk = [beat(n, capacity=64) for n in range(100)]
        f = verdict(disk[-64:], [arrival(b) for b in disk])
        self.assertTrue(f["intact"], f)
        f = verdict(disk[-64:-32] + disk[-31:], [arrival(b) for b in disk])
        self.assertEqual(f["lost"], 1)


class Formats(unittest.TestCase):
    def test_ring(self):
        good = [beat(n) for n in range(10)]
        sectors = [pack(b).ljust(SECTOR, b"\0") for b in good] + [bytes(SECTOR)] * 3
        self.assertEqual(parse_ring([b"".join(sectors[5:]), b"".join(sectors[:5])]), good)
        torn = bytearray(sectors[4])
        torn[20] ^= 1
        self.assertIsNone(unpack(bytes(torn)))
        self.assertEqual(len(parse_ring([b"".join(sectors[:4]) + bytes(torn)])), 4)

    def test_log(self):
        b = beat(7, failed=2)
        lines = [log_line(b, 5), "# mark 77 first\n", "# mark 99 second\n", "garbage\n",
                 log_line(b, 6).rstrip("\n")]
        guests, mark = parse_log(lines)
        self.assertEqual(guests, {"g": [Arrival(7, A, b.uptime_ns, b.sent_ns, 5, 2, PERIOD)]})
        self.assertEqual(mark, 99)

    def test_forgotten(self):
        b = beat(7)
        guests, _ = parse_log([log_line(beat(3, boot=B), 4), "# forget g\n", log_line(b, 5)])
        self.assertEqual(guests, {"g": [arrival(b, at_ms=0)._replace(at_ns=5)]})


if __name__ == "__main__":
    unittest.main()
