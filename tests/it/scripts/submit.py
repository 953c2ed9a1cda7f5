"""Submits a message with Python's smtplib.

Arguments: HOST PORT USER SENDER RECIPIENT... On stdin: the password, a line feed, the message.
"""

import smtplib
import sys


def main():
    host, port, user, sender, *recipients = sys.argv[1:]
    password, message = sys.stdin.buffer.read().split(b"\n", 1)
    with smtplib.SMTP(host, int(port), timeout=30) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("auth"), smtp.esmtp_features
        smtp.login(user, password.decode("ascii"))
        refused = smtp.sendmail(sender, recipients, message)
        assert refused == {}, refused
    print("submitted", len(recipients))


main()
