"""The checker: did a guest lose, repeat or miss anything? PURE: bytes and lines in, facts out.

Two witnesses. The disk holds every beat whose write was acknowledged: a number that is missing
there was lost. The collector saw each beat when it was sent: a number that came twice was sent by
two instances of one guest, and a gap is a pause, which the guest's own clock does not show because
it stands still while a migration switches over.
"""
import struct
import zlib
from collections import namedtuple

# guest/init.c, struct beat
BEAT = struct.Struct("<8sQQQQQII56s6sHII")
MAGIC = b"LABBEAT1"
SECTOR = 512

Beat = namedtuple("Beat", "guest n boot uptime_ns sent_ns failed period_ms capacity mac")
Arrival = namedtuple("Arrival", "n boot uptime_ns sent_ns at_ns failed period_ms")


def unpack(data):
    """A beat, or None where there is none, or a torn one."""
    if len(data) < BEAT.size or data[:8] != MAGIC:
        return None
    (_, n, boot, uptime, sent, failed, period, capacity, guest, mac, _, _,
     crc) = BEAT.unpack_from(data)
    if crc != zlib.crc32(data[:BEAT.size - 4]):
        return None
    return Beat(guest.rstrip(b"\0").decode(), n, boot, uptime, sent, failed, period, capacity,
                mac.hex(":"))


def pack(beat):
    """The inverse of unpack, for tests."""
    head = BEAT.pack(MAGIC, beat.n, beat.boot, beat.uptime_ns, beat.sent_ns, beat.failed,
                     beat.period_ms, beat.capacity, beat.guest.encode(),
                     bytes.fromhex(beat.mac.replace(":", "")), 0, 0, 0)[:-4]
    return head + struct.pack("<I", zlib.crc32(head))


def parse_ring(chunks):
    """All valid beats of a disk given as consecutive chunks of whole sectors, in order of n."""
    found = []
    for chunk in chunks:
        for off in range(0, len(chunk) - BEAT.size + 1, SECTOR):
            if chunk[off:off + 8] == MAGIC:
                beat = unpack(chunk[off:off + BEAT.size])
                if beat:
                    found.append(beat)
    return sorted(found, key=lambda b: b.n)


def log_line(beat, at_ns):
    return (f"{beat.guest} {beat.n} {beat.boot:016x} {beat.uptime_ns} {beat.sent_ns} {at_ns} "
            f"{beat.mac} {beat.failed} {beat.period_ms}\n")


def parse_log(lines):
    """→ ({guest: [Arrival in order of arrival]}, time of the last mark or None). A guest that was
    forgotten is not the next one of its name."""
    guests, mark = {}, None
    for line in lines:
        words = line.split()
        if words[:2] == ["#", "mark"] and len(words) >= 3:
            mark = int(words[2])
        elif words[:2] == ["#", "forget"] and len(words) == 3:
            guests.pop(words[2], None)
        elif len(words) == 9 and line.endswith("\n"):
            guests.setdefault(words[0], []).append(Arrival(
                int(words[1]), int(words[2], 16), int(words[3]), int(words[4]), int(words[5]),
                int(words[7]), int(words[8])))
    return guests, mark


def judge(disk, arrivals, now_ns, since_ns=None, max_age_ms=5000):
    """Facts about one guest, and whether it is intact.

    disk: beats in order of n. since_ns: judge only what happened since then; the disk is judged
    from the first beat that arrived since then. max_age_ms: a guest that is silent for longer has
    stopped, whatever its disk says.
    """
    arrivals = sorted(arrivals, key=lambda a: a.at_ns)
    if since_ns is not None:
        arrivals = [a for a in arrivals if a.at_ns >= since_ns]
        first = min((a.n for a in arrivals), default=None)
        disk = [b for b in disk if first is not None and b.n >= first]
    facts = judge_disk(disk)
    facts.update(judge_arrivals(arrivals, now_ns))
    boots = {b.boot for b in disk} | {a.boot for a in arrivals}
    on_disk = {b.n: (b.boot, b.uptime_ns) for b in disk}
    heard = [(a.n, (a.boot, a.uptime_ns)) for a in arrivals]
    facts["contradicting"] = sum(1 for n, what in heard if on_disk.get(n, what) != what)
    facts["failed_writes"] = failed_writes(disk, arrivals)
    facts["boots"] = len(boots)
    facts["same_boot"] = len(boots) == 1
    facts["problems"] = problems(facts, max_age_ms)
    facts["intact"] = not facts["problems"]
    return facts


def judge_disk(disk):
    """lost: numbers missing between the first and the last that should be on the disk.
    disordered: neighbours whose uptime does not rise, or an earlier boot writing after a later one
    has begun: the mark of a second instance that still writes."""
    facts = {"beats": len(disk), "first": None, "last": None, "lost": 0, "disordered": 0}
    if not disk:
        return facts
    first, last = disk[0].n, disk[-1].n
    expected_first = max(first, last - disk[-1].capacity + 1)
    present = len({b.n for b in disk if b.n >= expected_first})
    facts.update(first=first, last=last, lost=last - expected_first + 1 - present)
    ended = set()
    for a, b in zip(disk, disk[1:]):
        if a.boot != b.boot:
            ended.add(a.boot)
        if b.boot in ended or (a.boot == b.boot and b.uptime_ns <= a.uptime_ns):
            facts["disordered"] += 1
    return facts


def judge_arrivals(arrivals, now_ns):
    """longest_pause_ms: the largest gap between arrivals beyond the period; what a client sees.
    longest_stop_ms: the most that the guest's clock fell behind in one gap; without the time that
    it waited for its disk.
    unseen: datagrams that never arrived, which is the network's right."""
    facts = {"arrived": len(arrivals), "repeated": 0, "unseen": 0, "longest_pause_ms": 0.0,
             "longest_stop_ms": 0.0, "pause_at_ns": None, "last_age_ms": None}
    if not arrivals:
        return facts
    numbers = {(a.boot, a.n) for a in arrivals}
    facts["repeated"] = len(arrivals) - len(numbers)
    for boot in {a.boot for a in arrivals}:
        ns = [n for b, n in numbers if b == boot]
        facts["unseen"] += max(ns) - min(ns) + 1 - len(ns)
    for a, b in zip(arrivals, arrivals[1:]):
        gap = b.at_ns - a.at_ns
        pause = gap / 1e6 - b.period_ms
        if pause > facts["longest_pause_ms"]:
            facts["longest_pause_ms"] = round(pause, 1)
            facts["pause_at_ns"] = a.at_ns
        if a.boot == b.boot:
            stop = (gap - (b.sent_ns - a.sent_ns)) / 1e6
            facts["longest_stop_ms"] = max(facts["longest_stop_ms"], round(stop, 1))
    facts["last_age_ms"] = round((now_ns - arrivals[-1].at_ns) / 1e6, 1)
    return facts


def failed_writes(disk, arrivals):
    """Each boot counts its own; a count that was there before the period judged is not new."""
    total = 0
    for boot in {b.boot for b in disk} | {a.boot for a in arrivals}:
        seen = [x.failed for x in list(disk) + list(arrivals) if x.boot == boot]
        total += max(seen) - min(seen)
        # the first beat of a period may itself be the first that failed
        if min(seen) and min(x.n for x in list(disk) + list(arrivals) if x.boot == boot) == 0:
            total += min(seen)
    return total


def problems(facts, max_age_ms):
    found = []
    if not facts["beats"]:
        found.append("no beat on its disk")
    if facts["boots"] > 1:
        found.append(f"{facts['boots']} boots")
    for key, text in (("lost", "lost"), ("repeated", "sent twice"), ("disordered", "out of order"),
                      ("contradicting", "not as on the disk"),
                      ("failed_writes", "failed to write")):
        if facts[key]:
            found.append(f"{facts[key]} beats {text}")
    if facts["last_age_ms"] is None:
        found.append("never heard of")
    elif facts["last_age_ms"] > max_age_ms:
        found.append(f"silent for {facts['last_age_ms'] / 1000:.1f} s")
    return found
