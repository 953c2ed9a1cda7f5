"""SCRAM-SHA-256 (RFC 5802, RFC 7677) by Python's own hashes, over imaplib."""

import base64
import hashlib
import hmac
import imaplib
import os
import sys


def digest(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class Scram:
    """The client's side of one exchange; imaplib does the base64."""

    def __init__(self, user, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n={user},r={self.nonce}"
        self.steps = [self.first, self.final, self.check]

    def __call__(self, challenge):
        return self.steps.pop(0)(challenge.decode())

    def first(self, challenge):
        assert challenge == "", challenge
        return "n,," + self.bare

    def final(self, challenge):
        fields = dict(field.split("=", 1) for field in challenge.split(","))
        assert fields["r"].startswith(self.nonce) and fields["r"] != self.nonce
        salt, count = base64.b64decode(fields["s"]), int(fields["i"])
        assert count >= 4096
        salted = hashlib.pbkdf2_hmac("sha256", self.password, salt, count)
        client_key = digest(salted, b"Client Key")
        without_proof = f"c=biws,r={fields['r']}"
        message = f"{self.bare},{challenge},{without_proof}".encode()
        signature = digest(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.expected = base64.b64encode(digest(digest(salted, b"Server Key"), message))
        return f"{without_proof},p={base64.b64encode(proof).decode()}"

    def check(self, challenge):
        assert challenge == "v=" + self.expected.decode(), "the server does not know the password"
        return ""


def main(port):
    client = imaplib.IMAP4("127.0.0.1", port)
    assert "AUTH=SCRAM-SHA-256" in client.capabilities, client.capabilities
    for user, password in [("alice", "guess"), ("nobody", "sesame")]:
        try:
            client.authenticate("SCRAM-SHA-256", Scram(user, password))
            raise SystemExit("a wrong password was taken")
        except imaplib.IMAP4.error as error:
            assert "AUTHENTICATIONFAILED" in str(error), error
    client.authenticate("SCRAM-SHA-256", Scram("alice", "sesame"))
    assert client.select("INBOX")[0] == "OK"
    client.logout()


main(int(sys.argv[1]))
