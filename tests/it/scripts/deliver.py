"""Hands a message to an LMTP server with Python's smtplib.

Arguments: HOST PORT SENDER RECIPIENT... On stdin: the message.
"""

import smtplib
import sys


def main():
    host, port, sender, *recipients = sys.argv[1:]
    with smtplib.LMTP(host, int(port), timeout=30) as lmtp:
        refused = lmtp.sendmail(sender, recipients, sys.stdin.buffer.read())
        assert refused == {}, refused
    print("delivered", len(recipients))


main()
