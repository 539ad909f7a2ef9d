"""A peer of the scheduler's agent port that does not behave: raw bytes, TLS with any certificate, frames
of any content. Its socket belongs to the lab's core namespace, this process does not."""
import ctypes
import json
import os
import socket
import ssl
import struct
import threading

from . import drover
from .env import CORE_IP, PATIENCE, LabError, run

CLONE_NEWNET = 0x40000000
DEADLINE = 30 * PATIENCE  # an answer that does not come is a failure, not a hang


def core_socket(lab, address):
    """A TCP connection from within the core: a socket stays in the namespace that it was made in."""
    made = []

    def dial():
        try:
            fd = os.open(lab.ns_file(lab.core_ns), os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(fd)
            made.append(socket.create_connection(address, timeout=DEADLINE))
        except OSError as e:
            made.append(e)
    worker = threading.Thread(target=dial)  # setns changes one thread only, which then ends
    worker.start()
    worker.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Pki:
    """Certificates made for one scenario, from the lab's own CA or from a stranger's."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def stranger(self):
        if not os.path.exists(self.path("ca2")):
            run([drover.program("drover"), "pki", "init", "--dir", self.path("ca2")])
        return self.path("ca2")

    def issue(self, role, name, ca=None, label=None):
        """The folder of cert.pem, key.pem and ca.pem (the CA that issued it)."""
        out = self.path(label or f"{role}-{name}")
        if not os.path.exists(out):
            run([drover.program("drover"), "pki", "issue", "--dir", ca or self.lab.path("pki"), role,
                 "--name", name, "--out", out])
        return out

    def expired(self, role, name):
        """As `pki issue` makes it, but over since yesterday; that command refuses to."""
        good = self.issue(role, name, label=f"{role}-{name}-good")
        out = self.path(f"{role}-{name}-expired")
        if os.path.exists(out):
            return out
        os.makedirs(out)
        ca = self.lab.path("pki")
        run(["openssl", "req", "-new", "-key", f"{good}/key.pem", "-subj", f"/CN={name}",
             "-out", f"{out}/req.pem"])
        with open(f"{out}/ext", "w") as f:
            f.write(f"subjectAltName=DNS:{name},URI:drover:role:{role}\n"
                    "extendedKeyUsage=serverAuth,clientAuth\nkeyUsage=critical,digitalSignature\n")
        run(["openssl", "x509", "-req", "-in", f"{out}/req.pem", "-CA", f"{ca}/ca.pem", "-CAkey",
             f"{ca}/ca-key.pem", "-set_serial", "7", "-days", "-1", "-extfile", f"{out}/ext",
             "-out", f"{out}/cert.pem"])
        for file in ("key.pem", "ca.pem"):
            os.symlink(f"{good}/{file}", f"{out}/{file}")
        return out


class Peer:
    """One connection. cert: a folder of `pki issue`; None: TLS without a certificate."""

    def __init__(self, lab, cert, handshake=True):
        self.lab = lab
        self.raw = core_socket(lab, (CORE_IP, drover.PORT))
        self.tls = None
        if handshake:
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.minimum_version = ssl.TLSVersion.TLSv1_3
            c.check_hostname = False  # whether the scheduler is the right one is not the question here
            c.verify_mode = ssl.CERT_NONE
            if cert:
                c.load_cert_chain(f"{cert}/cert.pem", f"{cert}/key.pem")
            self.tls = c.wrap_socket(self.raw)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        (self.tls or self.raw).close()

    def address(self):
        return "%s:%d" % (self.tls or self.raw).getsockname()[:2]

    # Out.

    def send_bytes(self, data):
        (self.tls or self.raw).sendall(data)

    def send_frame(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.send_bytes(struct.pack(">I", len(data)) + data)

    def send(self, kind, body, v=1):
        self.send_frame(json.dumps({"v": v, "id": 1, "re": 0, "type": kind, "body": body}))

    def hello(self, host, **more):
        self.send("hello", dict({"proto_min": 1, "proto_max": 1, "host": host, "agent_version": "0",
                                 "instance": "00", "boot_id": "lab", "wall_us": 1}, **more))

    # In.

    def read_exactly(self, n):
        data = b""
        while len(data) < n:
            more = (self.tls or self.raw).recv(n - len(data))
            if not more:
                return None
            data += more
        return data

    def receive(self):
        """The next message, or None when the scheduler has closed."""
        head = self.read_exactly(4)
        text = self.read_exactly(struct.unpack(">I", head)[0]) if head else None
        return json.loads(text) if text else None

    def welcome(self, host, **more):
        self.hello(host, **more)
        m = self.receive()
        if not m or m["type"] != "welcome":
            raise LabError(f"no welcome for {host}: {m}")
        return m["body"]

    def last_words(self):
        """What the scheduler says before it closes: (code, error), or the error of the connection."""
        try:
            while True:
                m = self.receive()
                if m is None:
                    return None, "closed without a word"
                if m["type"] == "bye":
                    rest = self.receive()
                    return m["body"]["code"], m["body"]["error"] + (f" then {rest}" if rest else "")
        except (ssl.SSLError, ConnectionError) as e:
            return None, str(e)
