"""imaplib while mail is still coming in: fetches what it can get, whole.

Arguments: HOST PORT USER PASSWORD. Prints how many letters came and how many were refused.
"""

import imaplib
import re
import sys

host, port, user, password = sys.argv[1:5]
letters, refused = 0, 0
mail = imaplib.IMAP4(host, int(port))
mail.login(user, password)
mail.select("INBOX", readonly=True)
for uid in mail.uid("SEARCH", "SUBJECT", '"of many"')[1][0].split():
    status, data = mail.uid("FETCH", uid.decode(), "(RFC822.SIZE BODY.PEEK[])")
    if status == "NO":
        assert b"[UNAVAILABLE]" in data[0], data
        refused += 1
        continue
    # Between two FETCH responses there may be others.
    (parts,) = [item for item in data if isinstance(item, tuple)]
    size = int(re.search(rb"RFC822.SIZE (\d+)", parts[0]).group(1))
    assert size == len(parts[1]), (size, len(parts[1]))
    letters += 1
mail.logout()
print("letters", letters, "refused", refused)
