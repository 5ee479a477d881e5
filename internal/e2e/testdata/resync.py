"""Keeps a copy of INBOX's flags with Python's imaplib, and catches up by CHANGEDSINCE and
by QRESYNC while another connection changes the mailbox: resync.py HOST TLSPORT CA USER PASSWORD
"""

import imaplib
import random
import re
import ssl
import sys

host, port, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
random.seed(4)
fetched = re.compile(rb"UID (\d+)")
modified = re.compile(rb"MODSEQ \((\d+)\)")
flagged = re.compile(rb"FLAGS \(([^)]*)\)")


def ok(answer):
    kind, data = answer
    assert kind == "OK", (kind, data)
    return data


def connect(qresync):
    c = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=60)
    ok(c.login(user, password))
    if qresync:
        ok(c.enable("QRESYNC"))
    return c


def number(c, code):
    return int(c.response(code)[1][0])


def uids(text):
    for piece in text.decode().split(","):
        first, _, last = piece.partition(":")
        yield from range(int(first), int(last or first) + 1)


class Copy:
    """What a program knows of the mailbox between two connections."""

    def __init__(self):
        self.flags, self.validity, self.modseq = {}, 0, 0

    def take(self, lines):
        for line in lines:
            if isinstance(line, bytes) and flagged.search(line):
                self.flags[int(fetched.search(line)[1])] = frozenset(flagged.search(line)[1].split())
                self.modseq = max(self.modseq, int(modified.search(line)[1]))

    def first(self):
        c = connect(True)
        ok(c.select("INBOX"))
        self.validity, self.modseq = number(c, "UIDVALIDITY"), number(c, "HIGHESTMODSEQ")
        self.take(ok(c.uid("FETCH", "1:*", "(FLAGS MODSEQ)")))
        c.shutdown()  # without LOGOUT

    def by_qresync(self):
        c = connect(True)
        c.state = "SELECTED"
        known, most = random.choice(["", " 1:%d"]), max(self.flags)
        kind, data = c._simple_command("SELECT", "INBOX", "(QRESYNC (%d %d%s))" % (self.validity, self.modseq, known and known % most))
        assert kind == "OK", data
        for line in c.untagged_responses.get("VANISHED", []):
            earlier, set_ = line.split(b" ")
            assert earlier == b"(EARLIER)", line
            for uid in uids(set_):
                self.flags.pop(uid, None)
        highest = number(c, "HIGHESTMODSEQ")
        self.take(c.untagged_responses.get("FETCH", []))
        assert self.modseq <= highest, (self.modseq, highest)
        if known:  # then it is told of no others (RFC 7162 section 3.2.5.1)
            self.take(line for line in ok(c.uid("FETCH", "%d:*" % (most + 1), "(FLAGS MODSEQ)")) if line)
        self.modseq = highest
        c.shutdown()

    def by_changedsince(self):
        c = connect(True)
        ok(c.select("INBOX"))
        highest = number(c, "HIGHESTMODSEQ")
        self.take(ok(c.uid("FETCH", "1:*", "(FLAGS)", "(CHANGEDSINCE %d VANISHED)" % self.modseq)))
        for line in c.untagged_responses.get("VANISHED", []):
            for uid in uids(line.split(b" ")[1]):
                self.flags.pop(uid, None)
        self.modseq = highest
        c.shutdown()


def change(c, copy):
    """Changes the mailbox at random."""
    for _ in range(random.randrange(1, 6)):
        there = ok(c.uid("SEARCH", "ALL"))[0].split()
        some = b",".join(random.sample(there, min(len(there), random.randrange(1, 5)))).decode()
        act = random.randrange(5)
        if act == 0 or not there:
            ok(c.append("INBOX", random.choice(["", r"(\Seen)", "(Work)"]), None, b"Subject: more\r\n\r\nmore\r\n"))
        elif act == 1:
            ok(c.uid("STORE", some, random.choice(["+FLAGS.SILENT", "-FLAGS", "FLAGS"]), random.choice([r"(\Seen)", r"(\Flagged Work)", "()", "(New%d)" % random.randrange(9)])))
        elif act == 2:
            ok(c.uid("STORE", some, "+FLAGS.SILENT", r"(\Deleted)"))
            ok(c.uid("EXPUNGE", some))
        elif act == 3:
            ok(c.uid("MOVE", some, "Archive"))
        else:
            ok(c.uid("COPY", some, "INBOX"))


def truth():
    fresh = Copy()
    fresh.first()
    return fresh


other = connect(False)
for i in range(40):
    ok(other.append("INBOX", r"(\Seen)" if i % 2 else "", None, b"Subject: %d\r\n\r\ntext\r\n" % i))
ok(other.select("INBOX"))
copy = Copy()
copy.first()
for round in range(40):
    change(other, copy)
    (copy.by_qresync if round % 2 else copy.by_changedsince)()
    want = truth()
    assert copy.validity == want.validity
    lost, extra = want.flags.keys() - copy.flags.keys(), copy.flags.keys() - want.flags.keys()
    assert not lost and not extra, ("round", round, "lost", lost, "not told that they are gone", extra)
    for uid, flags in want.flags.items():
        assert copy.flags[uid] == flags, (round, uid, copy.flags[uid], flags)
other.logout()
