"""What guests and hosts really use of the CPU, by the kernel's own counters, of which libvirt and Drover know nothing.

Figures of load are means over some seconds; what a guest uses changes by the second when the machine is busy. So a
figure is held against the mean of the very seconds that it is of.
"""
import bisect
import threading
import time

from .env import read
from .host import Host

SAMPLE_S = 0.25
LATE_S = 12      # from the reading of a figure to its report: the agent's deadline for it
TICK_US = 10000  # of /proc/PID/stat


class Usage(threading.Thread):
    """Samples all guests and hosts of a lab from now until `with` ends; times are those of time.time()."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.hosts = {h.name: h.cgroup() for h in (Host(lab, i) for i in lab.hosts())}
        self.seen = {}  # (host, guest or None) -> ([time], [µs used])
        self.pids = {}  # pid -> guest's name, or None
        self.ends = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()

    def run(self):
        while not self.ends.wait(SAMPLE_S):
            for host, cgroup in self.hosts.items():
                stat = dict(line.split() for line in (read(f"{cgroup}/cpu.stat") or "").splitlines())
                self.note(host, None, int(stat.get("usage_usec", -1)))
                for pid in (read(f"{cgroup}/cgroup.procs") or "").split():
                    if self.guest_of(pid):
                        fields = (read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
                        self.note(host, self.pids[pid], (int(fields[11]) + int(fields[12])) * TICK_US if fields else -1)

    def guest_of(self, pid):
        if not self.pids.get(pid):  # what is no QEMU yet may become one
            words = (read(f"/proc/{pid}/cmdline") or "").split("\0")
            self.pids[pid] = next((w[6:].split(",")[0] for w in words if w.startswith("guest=")), None)
        return self.pids[pid]

    def note(self, host, name, used_us):
        times, used = self.seen.setdefault((host, name), ([], []))
        if used_us >= 0:
            used.append(used_us)
            times.append(time.time())  # last: who reads it meanwhile finds both

    def used(self, key, at):
        """µs used until then; None: not known."""
        times, used = self.seen.get(key, ([], []))
        i = bisect.bisect(times, at)
        if not 0 < i < len(times):
            return None
        part = (at - times[i - 1]) / (times[i] - times[i - 1])
        return used[i - 1] + part * (used[i] - used[i - 1])

    def means(self, key, end, seconds):
        """(least, most) thousandths of a CPU over so many seconds that ended then or at most LATE_S before."""
        found = []
        for late in range(int(LATE_S / SAMPLE_S)):
            last, first = (self.used(key, end - late * SAMPLE_S - s) for s in (0, seconds))
            if last is not None and first is not None:
                found.append((last - first) / seconds / 1000)
        return (min(found), max(found)) if found else None
