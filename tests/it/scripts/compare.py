"""Other OpenPGP programs as judges of many things at once.

compare.py PROGRAM certificates FOLDER: which of N.cert mail can be encrypted to
compare.py PROGRAM signatures FOLDER: which of N.sig is good over N.doc, by the keys of N.cert

PROGRAM is `gpg` or `pysequoia`. The numbers of the good ones are printed, a line each.
"""

import os
import subprocess
import sys
import tempfile
from datetime import datetime, timezone


def gpg(home, *words, octets=b""):
    common = ["gpg", "--homedir", home, "--batch", "--no-tty", "--yes", "--no-autostart"]
    trust = ["--trust-model", "always", "--status-fd", "1"]
    return subprocess.run(common + trust + list(words), input=octets, capture_output=True)


def gpg_certificate(path, home):
    said = gpg(home, "--import", path).stdout.decode(errors="replace")
    names = [line.split()[-1] for line in said.splitlines() if " IMPORT_OK " in line]
    if not names:
        return False
    return gpg(home, "--recipient", names[0], "--encrypt", octets=b"x").returncode == 0


def gpg_signature(signature, document, cert, home):
    gpg(home, "--import", cert)
    said = gpg(home, "--verify", signature, document).stdout.decode(errors="replace")
    return "[GNUPG:] GOODSIG" in said and "[GNUPG:] VALIDSIG" in said


def sequoia_certificate(path, _):
    import pysequoia

    with open(path, "rb") as file:
        cert = pysequoia.Cert.from_bytes(file.read())
    # Its `encrypt` asks neither whether the certificate is revoked nor whether it has expired.
    ended = cert.expiration is not None and cert.expiration <= datetime.now(timezone.utc)
    return bool(pysequoia.encrypt(b"x", [cert])) and not cert.is_revoked and not ended


def sequoia_signature(signature, document, cert, _):
    import pysequoia

    with open(cert, "rb") as file:
        certs = [pysequoia.Cert.from_bytes(file.read())]
    with open(document, "rb") as file:
        octets = file.read()
    block = pysequoia.Sig.from_file(signature)
    return bool(pysequoia.verify(bytes=octets, store=lambda _: certs, signature=block).valid_sigs)


JUDGES = {
    ("gpg", "certificates"): gpg_certificate,
    ("gpg", "signatures"): gpg_signature,
    ("pysequoia", "certificates"): sequoia_certificate,
    ("pysequoia", "signatures"): sequoia_signature,
}


def main(program, word, folder):
    judge = JUDGES[program, word]
    kind = {"certificates": ".cert", "signatures": ".sig"}[word]
    names = sorted(name for name in os.listdir(folder) if name.endswith(kind))
    for name in names:
        number = name.split(".")[0]
        paths = [os.path.join(folder, name)]
        if word == "signatures":
            paths += [os.path.join(folder, number + end) for end in (".doc", ".cert")]
        with tempfile.TemporaryDirectory() as home:
            try:
                good = judge(*paths, home)
            # A panic of Rust code is no Exception in Python.
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                good = False
        if good:
            print(int(number))


main(*sys.argv[1:])
