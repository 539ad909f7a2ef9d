"""The collector: writes down when each guest's beat arrived, on the one clock that never stops.

    python3 collector.py ADDRESS PORT LOG

One line per datagram: guest n boot_id uptime_ns sent_ns arrival_ns mac failed
period_ms. Arrivals are
CLOCK_MONOTONIC of this machine, from the kernel's own time stamps: this process may be late.
"""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from lablib.beats import log_line, unpack  # noqa: E402  (run as a program, the path comes first)

SO_TIMESTAMPNS = 35


def main(address, port, log):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    s.bind((address, int(port)))
    # Append mode: `lab mark` and `lab guest` write lines into the same file.
    with open(log, "a", buffering=1) as out:
        while True:
            data, ancillary, _, _ = s.recvmsg(2048, 64)
            monotonic = time.monotonic_ns()
            if ancillary:
                stamp = ancillary[0][2]
                stamp_ns = (int.from_bytes(stamp[:8], "little") * 10**9
                            + int.from_bytes(stamp[8:16], "little"))
                monotonic -= max(0, time.time_ns() - stamp_ns)
            beat = unpack(data)
            if beat:
                out.write(log_line(beat, monotonic))


if __name__ == "__main__":
    main(*sys.argv[1:4])
