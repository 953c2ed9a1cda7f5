"""A tour of the IMAP server with Python's imaplib: what a simple mail program does.

Arguments: HOST PORT USER. On stdin: the password, a line feed, and the octets of a message
that is already in INBOX (below its trace fields). Prints one line per thing that was seen to
work; any failure is an exception.
"""

import imaplib
import re
import select
import socket
import sys

imaplib.Debug = 0


def check(condition, *shown):
    if not condition:
        raise AssertionError(shown)


def ok(answer):
    kind, data = answer
    check(kind == "OK", kind, data)
    return data


def idle_until_exists(imap, more):
    """RFC 2177 by hand: imaplib learnt IDLE only in Python 3.14."""
    tag = imap._new_tag()
    imap.send(tag + b" IDLE\r\n")
    line = imap.readline()
    check(line.startswith(b"+"), line)
    more()
    seen = None
    while seen is None:
        line = imap.readline()
        match = re.match(rb"\* (\d+) EXISTS", line)
        if match:
            seen = int(match.group(1))
        check(line != b"", "the connection ended during IDLE")
    imap.send(b"DONE\r\n")
    while not line.startswith(tag):
        line = imap.readline()
        check(line != b"", "the connection ended after DONE")
    check(line.startswith(tag + b" OK"), line)
    return seen


def main():
    host, port, user = sys.argv[1:4]
    password, message = sys.stdin.buffer.read().split(b"\n", 1)
    password = password.decode("ascii")
    imap = imaplib.IMAP4(host, int(port), timeout=30)
    ok(imap.login(user, password))
    print("login", "IMAP4REV1" in imap.capabilities)

    mailboxes = ok(imap.list())
    check(any(line.endswith(b"INBOX") or line.endswith(b'"INBOX"') for line in mailboxes), mailboxes)
    print("list", len(mailboxes) > 1)

    count = int(ok(imap.select("INBOX"))[0])
    check(int(imap.response("UIDVALIDITY")[1][0]) > 0)
    uids = ok(imap.uid("SEARCH", None, "ALL"))[0].split()
    check(len(uids) == count, uids, count)
    check(uids == sorted(uids, key=int), uids)
    print("select", count > 1)

    found = []
    for uid in uids:
        fetched = ok(imap.uid("FETCH", uid, "(UID FLAGS BODY.PEEK[])"))[0][1]
        if fetched.endswith(message):
            found.append((uid, fetched))
    check(len(found) == 1, len(found))
    uid, fetched = found[0]
    trace = fetched[: len(fetched) - len(message)]
    check(all(re.match(rb"(Return-Path|Delivered-To|Received):|[ \t]", line)
              for line in trace.splitlines()), trace)
    print("fetch", True)

    size = ok(imap.uid("FETCH", uid, "(RFC822.SIZE)"))[0]
    check(b"RFC822.SIZE %d" % len(fetched) in size, size)
    part = ok(imap.uid("FETCH", uid, "(BODY.PEEK[]<3.20>)"))[0][1]
    check(part == fetched[3:23], part)
    header = ok(imap.uid("FETCH", uid, "(BODY.PEEK[HEADER])"))[0][1]
    text = ok(imap.uid("FETCH", uid, "(BODY.PEEK[TEXT])"))[0][1]
    check(header + text == fetched, len(header), len(text))
    structure = ok(imap.uid("FETCH", uid, "(ENVELOPE BODYSTRUCTURE INTERNALDATE)"))[0]
    check(b"ENVELOPE (" in structure and b"BODYSTRUCTURE (" in structure, structure)
    print("sections", True)

    ok(imap.uid("STORE", uid, "+FLAGS.SILENT", "(\\Flagged Letter)"))
    flags = imaplib.ParseFlags(ok(imap.uid("FETCH", uid, "(FLAGS)"))[0])
    check(b"\\Flagged" in flags and b"Letter" in flags and b"\\Seen" not in flags, flags)
    ok(imap.uid("STORE", uid, "-FLAGS", "(Letter)"))
    ok(imap.uid("FETCH", uid, "(BODY[])"))
    flags = imaplib.ParseFlags(ok(imap.uid("FETCH", uid, "(FLAGS)"))[0])
    check(b"\\Seen" in flags and b"Letter" not in flags, flags)
    check(uid in ok(imap.uid("SEARCH", None, "FLAGGED"))[0].split())
    print("store", True)

    draft = b"From: <a@b.example>\r\nSubject: appended\r\n\r\nNo line end at the end"
    ok(imap.append("INBOX", "(\\Draft)", '"01-Feb-2026 03:04:05 +0100"', draft))
    ok(imap.noop())
    appended = ok(imap.uid("SEARCH", None, "DRAFT"))[0].split()
    check(len(appended) == 1 and int(appended[0]) > int(uids[-1]), appended)
    data = ok(imap.uid("FETCH", appended[0], "(INTERNALDATE BODY.PEEK[])"))[0]
    check(data[1] == draft, data)
    check(b"01-Feb-2026 02:04:05 +0000" in data[0] or b" 1-Feb-2026 02:04:05 +0000" in data[0]
          or b"-Feb-2026 03:04:05 +0100" in data[0], data[0])
    print("append", True)

    ok(imap.uid("STORE", appended[0], "+FLAGS", "(\\Deleted)"))
    ok(imap.expunge())
    check(ok(imap.uid("SEARCH", None, "DRAFT"))[0].split() == [])
    check(ok(imap.uid("SEARCH", None, "ALL"))[0].split() == uids)
    print("expunge", True)

    ok(imap.create("Tour"))
    ok(imap.uid("COPY", uid, "Tour"))
    check(int(ok(imap.select("Tour"))[0]) == 1)
    check(ok(imap.fetch("1", "(BODY.PEEK[])"))[0][1] == fetched)
    ok(imap.select("INBOX"))
    ok(imap.delete("Tour"))
    print("copy", True)

    def append_from_another_session():
        other = imaplib.IMAP4(host, int(port), timeout=30)
        ok(other.login(user, password))
        ok(other.append("INBOX", None, None, draft))
        other.logout()

    seen = idle_until_exists(imap, append_from_another_session)
    check(seen == count + 1, seen, count)
    print("idle", True)
    imap.logout()


main()
