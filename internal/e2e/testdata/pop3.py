"""Reads and deletes by POP3 with Python's poplib: pop3.py HOST PLAINPORT TLSPORT CA USER PASSWORD

The maildrop holds the three messages "one", "two" and "three" at the start.
"""

import poplib
import ssl
import sys

host, plain_port, tls_port, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)

c = poplib.POP3(host, int(plain_port), timeout=60)
c.stls(context)
try:
    c.user(user)
    c.pass_("wrong")
    raise AssertionError("a wrong password was taken")
except poplib.error_proto as e:
    assert b"[AUTH]" in e.args[0], e
c.user(user)
c.pass_(password)
uidls = c.uidl()[1]
assert len(uidls) == 3, uidls
c.dele(1)
c.rset()
c.quit()

c = poplib.POP3_SSL(host, int(tls_port), timeout=60, context=context)
caps = c.capa()
for cap in ("TOP", "UIDL", "PIPELINING", "UTF8", "USER", "SASL", "RESP-CODES"):
    assert cap in caps, caps
c.utf8()
c.user(user)
c.pass_(password)
count, size = c.stat()
assert count == 3, count
assert c.uidl()[1] == uidls
total = 0
for n, subject in enumerate((b"one", b"two", b"three"), 1):
    _, lines, octets = c.retr(n)
    assert b"Subject: " + subject in lines, lines
    listed = int(c.list(n).split()[2])
    assert listed == sum(len(line) + 2 for line in lines), (listed, octets)
    total += listed
    _, top, _ = c.top(n, 0)
    assert top == lines[: lines.index(b"") + 1], top
assert total == size, (total, size)
c.dele(2)
c.quit()

c = poplib.POP3_SSL(host, int(tls_port), timeout=60, context=context)
c.user(user)
c.pass_(password)
left = [line.split()[1] for line in c.uidl()[1]]
assert left == [uidls[0].split()[1], uidls[2].split()[1]], left
c.quit()
