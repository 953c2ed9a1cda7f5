"""Other OpenPGP programs behind four words of the stateless command line.

judge.py PROGRAM sign KEY < document > signature
judge.py PROGRAM verify SIGNATURE CERT < document
judge.py PROGRAM encrypt [--sign-with=KEY] CERT < document > message
judge.py PROGRAM decrypt [--verify-with=CERT --verifications-out=FILE] KEY < message > document

PROGRAM is `gpg`, `rnp` or `pysequoia`. Whatever goes wrong ends with an exit status that is not 0.
"""

import os
import subprocess
import sys
import tempfile


class Home:
    """A keyring of its own for one call."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, words, octets=b"", fine=(0,)):
        done = subprocess.run(words, input=octets, capture_output=True)
        if done.returncode not in fine:
            sys.stderr.buffer.write(done.stderr + done.stdout)
            sys.exit(f"{words[0]} ended with {done.returncode}")
        return done

    def write(self, name, octets):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(octets)
        return path


class Gpg(Home):
    def gpg(self, *words, octets=b""):
        # Expired times and signatures speak on the status channel; 2 is gpg's word for a warning.
        common = ["gpg", "--homedir", self.folder, "--batch", "--no-tty", "--yes", "--quiet"]
        trust = ["--trust-model", "always", "--pinentry-mode", "loopback", "--passphrase", ""]
        return self.run(common + trust + ["--status-fd", "2", *words], octets)

    def fingerprint(self, path):
        listed = self.gpg("--with-colons", "--show-keys", path).stdout.decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def load(self, path):
        self.gpg("--import", path)
        return self.fingerprint(path)

    def sign(self, key, document):
        name = self.load(key)
        return self.gpg("--armor", "--local-user", name, "--detach-sign", octets=document).stdout

    def verify(self, signature, cert, document):
        self.load(cert)
        path = self.write("document", document)
        said = self.gpg("--verify", signature, path).stderr.decode()
        if "VALIDSIG" not in said:
            sys.exit(said)

    def encrypt(self, signer, cert, document):
        words = ["--armor", "--recipient", self.load(cert)]
        if signer:
            words += ["--local-user", self.load(signer), "--sign"]
        return self.gpg(*words, "--encrypt", octets=document).stdout

    def decrypt(self, key, cert, message):
        self.load(key)
        if cert:
            self.load(cert)
        done = self.gpg("--decrypt", octets=message)
        said = done.stderr.decode()
        if "DECRYPTION_OKAY" not in said:
            sys.exit(said)
        return done.stdout, "VALIDSIG" in said

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.folder, "--kill", "all"], capture_output=True)


class Rnp(Home):
    def rnp(self, *words, octets=b""):
        common = ["rnp", "--homedir", self.folder, "--notty", "--overwrite", "--password", "x"]
        return self.run(common + list(words), octets)

    def load(self, path):
        said = self.run(["rnpkeys", "--homedir", self.folder, "--notty", "--import", path])
        words = (said.stdout + said.stderr).decode().split()
        # Of a key that it has already, it says nothing.
        return next((word for word in words if len(word) == 40), None)

    def sign(self, key, document):
        path = self.write("document", document)
        name, out = self.load(key), path + ".asc"
        self.rnp("--armor", "--sign", "--detach", "-u", name, "--output", out, path)
        return open(out, "rb").read()

    def verify(self, signature, cert, document):
        self.load(cert)
        self.rnp("--verify", "--source", self.write("document", document), signature)

    def encrypt(self, signer, cert, document):
        path = self.write("document", document)
        words = ["--armor", "--encrypt", "-r", self.load(cert)]
        if signer:
            words += ["--sign", "-u", self.load(signer)]
        self.rnp(*words, "--output", path + ".asc", path)
        return open(path + ".asc", "rb").read()

    def decrypt(self, key, cert, message):
        self.load(key)
        if cert:
            self.load(cert)
        path = self.write("message", message)
        said = self.rnp("--decrypt", "--output", path + ".out", path)
        good = b"Good signature" in said.stderr + said.stdout
        return open(path + ".out", "rb").read(), good

    def close(self):
        pass


class PySequoia(Home):
    def __init__(self, folder):
        super().__init__(folder)
        import pysequoia

        self.api = pysequoia

    def sign(self, key, document):
        signer = self.api.Tsk.from_file(key).signer()
        return self.api.sign(signer, document, mode=self.api.SignatureMode.DETACHED)

    def verify(self, signature, cert, document):
        store = lambda _: [self.api.Cert.from_file(cert)]
        signature = self.api.Sig.from_file(signature)
        if not self.api.verify(bytes=document, store=store, signature=signature).valid_sigs:
            sys.exit("no valid signature")

    def encrypt(self, signer, cert, document):
        signer = self.api.Tsk.from_file(signer).signer() if signer else None
        return self.api.encrypt(document, [self.api.Cert.from_file(cert)], signer)

    def decrypt(self, key, cert, message):
        store = (lambda _: [self.api.Cert.from_file(cert)]) if cert else None
        decryptor = self.api.Tsk.from_file(key).decryptor()
        opened = self.api.decrypt(message, decryptor, store)
        return opened.bytes, bool(cert and opened.valid_sigs)

    def close(self):
        pass


def main(program, word, *arguments):
    options = dict(word.lstrip("-").split("=", 1) for word in arguments if word.startswith("--"))
    files = [word for word in arguments if not word.startswith("--")]
    octets = sys.stdin.buffer.read()
    kinds = {"gpg": Gpg, "rnp": Rnp, "pysequoia": PySequoia}
    with tempfile.TemporaryDirectory() as folder:
        judge = kinds[program](folder)
        try:
            if word == "sign":
                out = judge.sign(files[0], octets)
            elif word == "verify":
                judge.verify(files[0], files[1], octets)
                out = b""
            elif word == "encrypt":
                out = judge.encrypt(options.get("sign-with"), files[0], octets)
            elif word == "decrypt":
                out, good = judge.decrypt(files[0], options.get("verify-with"), octets)
                if "verifications-out" in options:
                    with open(options["verifications-out"], "x") as file:
                        file.write("good\n" if good else "")
            else:
                sys.exit(f"no word {word}")
        finally:
            judge.close()
    sys.stdout.buffer.write(out)


main(*sys.argv[1:])
