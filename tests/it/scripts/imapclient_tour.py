"""A tour of the IMAP server with IMAPClient, the library that most Python programs use.

Arguments: HOST PORT USER. On stdin: the password. Prints one line per thing that was seen to
work; any failure is an exception.
"""

import sys
from datetime import datetime, timezone

from imapclient import IMAPClient


def check(condition, *shown):
    if not condition:
        raise AssertionError(shown)


DRAFT = b"From: <a@b.example>\r\nTo: <c@d.example>\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n\r\nNo line end"


def main():
    host, port, user = sys.argv[1:4]
    password = sys.stdin.read().strip()
    imap = IMAPClient(host, port=int(port), ssl=False, timeout=30)
    imap.login(user, password)
    for name in ["IDLE", "MOVE", "UIDPLUS", "CONDSTORE", "NAMESPACE", "QUOTA"]:
        check(imap.has_capability(name), name)
    check(b"Letterlock" in imap.id_({"name": "tour"})[0])
    print("login")

    folders = {name: flags for flags, _, name in imap.list_folders()}
    check(b"\\Sent" in folders["Sent"] and "INBOX" in folders, folders)
    check(imap.find_special_folder(b"\\Trash") == "Trash")
    check(imap.namespace().personal[0] == ("", "/"), imap.namespace())
    imap.create_folder("Grün & Bünt")
    check(imap.folder_exists("Grün & Bünt"))
    imap.rename_folder("Grün & Bünt", "Rot")
    imap.delete_folder("Rot")
    print("folders")

    selected = imap.select_folder("INBOX")
    uids = imap.search()
    check(len(uids) == selected[b"EXISTS"] and b"HIGHESTMODSEQ" in selected, selected)
    status = imap.folder_status("INBOX", ["MESSAGES", "UIDNEXT", "UNSEEN"])
    check(status[b"MESSAGES"] == len(uids), status)
    print("select")

    when = datetime(2026, 2, 1, 3, 4, 5, tzinfo=timezone.utc)
    imap.append("Drafts", DRAFT, flags=[b"\\Draft", b"Tour"], msg_time=when)
    imap.select_folder("Drafts")
    (uid,) = imap.search(["KEYWORD", "Tour"])
    found = imap.fetch([uid], ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"])[uid]
    check(found[b"BODY[]"] == DRAFT and found[b"RFC822.SIZE"] == len(DRAFT), found)
    check(found[b"INTERNALDATE"].astimezone(timezone.utc) == when, found)
    check(found[b"ENVELOPE"].subject == b"=?utf-8?q?gr=C3=BCn?=", found)
    check(str(found[b"ENVELOPE"].to[0]) == "c@d.example", found)
    check(imap.search(["SUBJECT", "GRÜN"], charset="UTF-8") == [uid])
    check(imap.sort("REVERSE ARRIVAL") == [uid])
    check(imap.thread("REFERENCES") == ((uid,),))
    print("fetch")

    imap.add_flags([uid], [b"\\Flagged"], silent=True)
    imap.remove_flags([uid], [b"Tour"])
    flags = imap.get_flags([uid])[uid]
    check(b"\\Flagged" in flags and b"Tour" not in flags, flags)
    imap.copy([uid], "Archive")
    imap.move([uid], "Trash")
    check(imap.search() == [])
    imap.select_folder("Trash")
    imap.delete_messages(imap.search())
    imap.expunge()
    check(imap.search() == [])
    print("change")

    imap.select_folder("Archive")
    imap.idle()
    other = IMAPClient(host, port=int(port), ssl=False, timeout=30)
    other.login(user, password)
    other.append("Archive", DRAFT)
    other.logout()
    heard = []
    while not any(kind == b"EXISTS" for _, kind in heard):
        more = imap.idle_check(timeout=30)
        check(more, "silence")
        heard += [event for event in more if len(event) == 2]
    imap.idle_done()
    check((2, b"EXISTS") in heard, heard)
    print("idle")
    imap.logout()


main()
