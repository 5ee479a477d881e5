"""Reads, writes and searches by IMAP with Python's imaplib: imap.py HOST PLAINPORT TLSPORT CA USER PASSWORD

The INBOX holds the three messages "one", "two" and "three" at the start.
"""

import imaplib
import ssl
import sys
import time

host, plain_port, tls_port, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)


def ok(answer, want="OK"):
    kind, data = answer
    assert kind == want, (kind, data)
    return data


with imaplib.IMAP4(host, int(plain_port), timeout=60) as c:
    assert "STARTTLS" in c.capabilities, c.capabilities
    ok(c.starttls(context))
    try:
        c.login(user, "wrong")
        raise AssertionError("a wrong password was taken")
    except imaplib.IMAP4.error as e:
        assert "AUTHENTICATIONFAILED" in str(e), e
    ok(c.login(user, password))
    ok(c.noop())

with imaplib.IMAP4_SSL(host, int(tls_port), ssl_context=context, timeout=60) as c:
    ok(c.authenticate("PLAIN", lambda _: b"\0%s\0%s" % (user.encode(), password.encode())))
    ok(c.namespace())
    names = b" ".join(ok(c.list()))
    for name in (b"INBOX", b"Sent", b"Drafts", b"Trash", b"Junk", b"Archive"):
        assert name in names, names
    ok(c.lsub())
    assert ok(c.select("INBOX")) == [b"3"]
    text = ok(c.fetch("1", "(RFC822)"))[0][1]
    assert b"Subject: one\r\n" in text, text
    assert ok(c.uid("FETCH", "1:*", "(FLAGS)"))[0] == b"1 (UID 1 FLAGS (\\Seen))"
    ok(c.store("2", "+FLAGS", r"(\Flagged work)"))
    assert ok(c.search(None, "FLAGGED", "KEYWORD", "work")) == [b"2"]
    assert ok(c.search(None, "SUBJECT", '"three"')) == [b"3"]
    assert ok(c.search("UTF-8", "UNSEEN")) == [b"2 3"]
    ok(c.copy("2:3", "Archive"))

    ok(c.create("Zeug/Gr&APwA3w-e"))
    ok(c.append('"Zeug/Gr&APwA3w-e"', r"(\Draft)", imaplib.Time2Internaldate(time.time()), b"Subject: draft\r\n\r\nhej\r\n"))
    assert b"MESSAGES 1" in ok(c.status('"Zeug/Gr&APwA3w-e"', "(MESSAGES UIDNEXT)"))[0]
    ok(c.rename("Zeug", "Stuff"))
    ok(c.select('"Stuff/Gr&APwA3w-e"'))
    assert b"Subject: draft" in ok(c.fetch("1", "(BODY.PEEK[HEADER])"))[0][1]
    ok(c.unselect())
    ok(c.delete('"Stuff/Gr&APwA3w-e"'))

    ok(c.select("INBOX"))
    ok(c.store("1", "+FLAGS.SILENT", r"\Deleted"))
    assert ok(c.expunge()) == [b"1"]
    assert ok(c.uid("SEARCH", "ALL")) == [b"2 3"]
    ok(c.close())
    assert ok(c.select("Archive", readonly=True)) == [b"2"]
    assert c.store("1", "+FLAGS", r"\Deleted")[0] == "NO"
    assert c.select("Nowhere")[0] == "NO"
