"""Where a guest is, asked of libvirt on each host and of RADOS."""
import json
import re
from concurrent.futures import ThreadPoolExecutor

from . import guest as guests
from .env import CORE_IP, NET, POOL, host_ip
from .host import Host


def owner_of(lab, addr):
    """'10.77.0.12:0/123' → 'h2'."""
    ip = addr.rsplit("/", 1)[0].rsplit(":", 1)[0].removeprefix("v1:").removeprefix("v2:")
    for i in lab.hosts():
        if ip == host_ip(i):
            return f"h{i}"
    return "core" if ip == CORE_IP or ip.startswith(NET + ".") else "?"


def domain_state(lab, i, name):
    host = Host(lab, i)
    if host.pid() is None:
        return "unplugged"
    got = host.virsh(f"domstate {name}", check=False, timeout=15)
    if got.returncode == 0:
        return got.stdout.strip()
    return "absent" if "failed to get domain" in got.stderr else "unknown"


def locate(lab, name):
    guest = guests.load(lab, name)
    with ThreadPoolExecutor(4) as pool:
        states = pool.map(lambda i: domain_state(lab, i, name), lab.hosts())
        found = {"guest": name, "hosts": {f"h{i}": s for i, s in zip(lab.hosts(), states)}}
    ident = guests.image_id(lab, guest)
    found.update(image=f"{POOL}/{guest['image']}", image_id=ident, watchers=[], lock=None)
    if ident is None:
        return found

    def rados(*args):
        return lab.core(["rados", "-p", POOL, *args], cluster=guest["cluster"], timeout=30,
                        check=False).stdout
    for addr, client in re.findall(r"watcher=(\S+) client\.(\d+)",
                                   rados("listwatchers", f"rbd_header.{ident}")):
        found["watchers"].append({"address": addr, "client": f"client.{client}",
                                  "host": owner_of(lab, addr)})
    lock = rados("lock", "info", f"rbd_header.{ident}", "rbd_lock")
    for holder in json.loads(lock or "{}").get("lockers", []):
        found["lock"] = {"address": holder["addr"], "client": holder["name"],
                         "host": owner_of(lab, holder["addr"])}
    return found


def show(found):
    hosts = " ".join(f"{h}={s.replace(' ', '-')}" for h, s in found["hosts"].items())
    lines = [f"{found['guest']}: {hosts}", f"  image {found['image']} id {found['image_id']}"]
    for w in found["watchers"]:
        lines.append(f"  watcher {w['host']} {w['client']} {w['address']}")
    lock = found["lock"]
    lines.append(f"  lock {lock['host']} {lock['client']} {lock['address']}" if lock
                 else "  lock none")
    return "\n".join(lines)
