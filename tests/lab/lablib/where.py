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


def domain_states(lab, i, names):
    """{name: its state on host i}"""
    host = Host(lab, i)
    if host.pid() is None:
        return dict.fromkeys(names, "unplugged")
    got = host.virsh("list --all", check=False, timeout=15)
    if got.returncode:
        return dict.fromkeys(names, "unknown")
    known = {words[1]: " ".join(words[2:]) for words in map(str.split, got.stdout.splitlines()) if words}
    return {n: known.get(n, "absent") for n in names}


def writers(lab, name):
    """Who watches and who locks its image."""
    guest = guests.load(lab, name)
    ident = guests.image_id(lab, guest)
    found = {"image": f"{POOL}/{guest['image']}", "image_id": ident, "watchers": [], "lock": None}
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


def locate_all(lab, names):
    """{name: what locate says}"""
    with ThreadPoolExecutor(4) as pool:
        images = pool.map(lambda n: writers(lab, n), names)
        states = list(pool.map(lambda i: domain_states(lab, i, names), lab.hosts()))
        return {n: dict({"guest": n, "hosts": {f"h{i}": s[n] for i, s in zip(lab.hosts(), states)}}, **image)
                for n, image in zip(names, images)}


def locate(lab, name):
    return locate_all(lab, [name])[name]


def show(found):
    hosts = " ".join(f"{h}={s.replace(' ', '-')}" for h, s in found["hosts"].items())
    lines = [f"{found['guest']}: {hosts}", f"  image {found['image']} id {found['image_id']}"]
    for w in found["watchers"]:
        lines.append(f"  watcher {w['host']} {w['client']} {w['address']}")
    lock = found["lock"]
    lines.append(f"  lock {lock['host']} {lock['client']} {lock['address']}" if lock
                 else "  lock none")
    return "\n".join(lines)
