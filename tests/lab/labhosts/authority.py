"""The lab's certificate authority, and the Salt keys of its hosts."""

from __future__ import annotations

from pathlib import Path

from labhosts.places import Lab
from labhosts.say import run

DAYS = "3650"
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def certificate(lab: Lab) -> bytes:
    """The authority's own certificate (PEM), made at the first call."""
    folder = _folder(lab)
    if not (folder / "ca.crt").exists():
        subject = ["-subj", f"/CN=asterisk-formula lab {lab.id}"]
        run("openssl", "req", "-x509", *CURVE, *subject, "-days", DAYS,
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.new"))  # fmt: skip
        (folder / "ca.new").rename(folder / "ca.crt")
    return (folder / "ca.crt").read_bytes()


def sign(lab: Lab, name: str, address: str) -> tuple[bytes, bytes]:
    """A new private key and a certificate for a host's name and address, both PEM."""
    certificate(lab)
    folder = _folder(lab)
    key, request, signed = (folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
    run("openssl", "req", "-new", *CURVE, "-subj", f"/CN={name}",
        "-keyout", str(key), "-out", str(request))  # fmt: skip
    extensions = folder / f"{name}.ext"
    extensions.write_text(
        f"subjectAltName=DNS:{name},IP:{address}\n"
        "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
    )
    run("openssl", "x509", "-req", "-in", str(request), "-days", DAYS, "-extfile", str(extensions),
        "-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-set_serial",
        str(int.from_bytes(name.encode(), "big")), "-out", str(signed))  # fmt: skip
    return key.read_bytes(), signed.read_bytes()


def salt_keys(lab: Lab, name: str) -> tuple[bytes, bytes]:
    """The private and public key (PEM) by which Salt knows a host, on one disk and the next."""
    key, public = (_folder(lab) / f"{name}.salt.{kind}" for kind in ("pem", "pub"))
    if not public.exists():
        run("openssl", "genrsa", "-out", str(key), "2048")
        run("openssl", "rsa", "-in", str(key), "-pubout", "-out", str(public))
    return key.read_bytes(), public.read_bytes()


def _folder(lab: Lab) -> Path:
    folder = lab.state / "ca"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
