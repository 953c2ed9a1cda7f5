"""Python's imaplib against the server: `imaplib_smoke.py PORT`. Fails with a traceback."""

import imaplib
import pathlib
import sys
import threading

LETTER = (pathlib.Path(__file__).parent / "letter.eml").read_bytes()


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def log_in(port):
    client = imaplib.IMAP4("127.0.0.1", port)
    ok(client.login("alice", "sesame"))
    return client


def refused(port):
    client = imaplib.IMAP4("127.0.0.1", port)
    try:
        client.login("alice", "wrong")
    except imaplib.IMAP4.error as error:
        assert b"AUTHENTICATIONFAILED" in error.args[0], error
    else:
        raise AssertionError("a wrong password was let in")
    client.authenticate("PLAIN", lambda _: b"\0alice\0sesame")
    client.logout()


def read_and_write(port):
    client = log_in(port)
    assert any(b"INBOX" in line for line in ok(client.list()))
    for _ in range(3):
        ok(client.append("INBOX", r"(\Flagged)", '"05-Jan-2026 10:00:00 +0100"', LETTER))
    assert ok(client.select("INBOX")) == [b"3"]
    (header, body), _ = ok(client.fetch("1", "(UID BODY.PEEK[])"))
    assert body == LETTER, body
    assert b"UID 1" in header
    assert ok(client.fetch("1", "(FLAGS)")) == [rb"1 (FLAGS (\Flagged \Recent))"]
    ok(client.fetch("1", "(RFC822)"))
    assert rb"\Seen" in ok(client.fetch("1", "(FLAGS)"))[0]
    assert ok(client.search(None, "UNSEEN")) == [b"2 3"]
    assert ok(client.uid("SEARCH", "CHARSET", "UTF-8", "BODY", '"Grüße"'.encode())) == [b"1 2 3"]
    ok(client.store("2", "+FLAGS", r"(\Deleted)"))
    assert ok(client.expunge()) == [b"2"]
    ok(client.uid("COPY", "3", "Archive"))
    assert ok(client.status("Archive", "(MESSAGES UIDNEXT)")) == [b"Archive (MESSAGES 1 UIDNEXT 2)"]
    ok(client.uid("MOVE", "1:*", "Trash"))
    assert ok(client.select("INBOX")) == [b"0"]
    ok(client.create('"Entw&APw-rfe"'))
    ok(client.delete('"Entw&APw-rfe"'))
    client.logout()


def idle(port):
    client, other = log_in(port), log_in(port)
    ok(client.select("INBOX"))
    client.send(b"i1 IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    threading.Timer(0.1, lambda: other.append("INBOX", None, None, LETTER)).start()
    client.sock.settimeout(5)
    assert client.readline() == b"* 1 EXISTS\r\n"
    assert client.readline() == b"* 1 RECENT\r\n"
    client.send(b"DONE\r\n")
    assert client.readline().startswith(b"i1 OK")


if __name__ == "__main__":
    port = int(sys.argv[1])
    refused(port)
    read_and_write(port)
    idle(port)
