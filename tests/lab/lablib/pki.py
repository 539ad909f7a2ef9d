"""Certificates for libvirt over TLS and for QEMU's own migration TLS, from the openssl CLI."""
import os
import shutil

from .env import host_ip, run

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]


def make_ca(lab):
    d = lab.path("libvirt-pki")
    os.makedirs(d, mode=0o700, exist_ok=True)
    run(["openssl", "req", "-x509", *EC, "-keyout", f"{d}/ca.key", "-out", f"{d}/ca.pem",
         "-subj", f"/CN=lab {lab.name} libvirt CA", "-addext", "keyUsage=critical,keyCertSign"])


def issue(lab, i, etc):
    """One certificate for host i, server and client at once, in all the places that look for it."""
    d = lab.path("libvirt-pki")
    key, cert, ca = f"{d}/h{i}.key", f"{d}/h{i}.pem", f"{d}/ca.pem"
    run(["openssl", "req", "-x509", *EC, "-CA", ca, "-CAkey", f"{d}/ca.key", "-keyout", key,
         "-out", cert, "-subj", f"/CN=h{i}",
         "-addext", f"subjectAltName=DNS:h{i},DNS:localhost,IP:{host_ip(i)},IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", "keyUsage=critical,digitalSignature,keyEncipherment",
         "-addext", "extendedKeyUsage=serverAuth,clientAuth"])
    places = {"CA/cacert.pem": ca, "qemu/ca-cert.pem": ca}
    for role in ("server", "client"):
        places[f"libvirt/{role}cert.pem"] = places[f"qemu/{role}-cert.pem"] = cert
        places[f"libvirt/private/{role}key.pem"] = places[f"qemu/{role}-key.pem"] = key
    for place, source in places.items():
        target = f"{etc}/pki/{place}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
