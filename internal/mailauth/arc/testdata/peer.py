# dkimpy as another server: "verify" tells what it makes of a chain, "seal" adds a set to it.
#   peer.py verify|seal MESSAGE RECORDS [KEY SELECTOR DOMAIN ID]
# It takes the state of a chain from the arc= in Authentication-Results of ID.
# RECORDS has a name, a tab and a TXT record on each line.
import sys

import dkim

action, message, records = sys.argv[1:4]
texts = dict(line.rstrip("\n").split("\t", 1) for line in open(records))
message = open(message, "rb").read()


def text(name, timeout=5):
    found = texts.get(name.decode().rstrip("."))
    return found and found.encode()


if action == "verify":
    result, _, reason = dkim.arc_verify(message, dnsfunc=text)
    print((result or b"fail").decode(), reason)
else:
    key, selector, domain, srv = sys.argv[4:8]
    fields = dkim.arc_sign(message, selector.encode(), domain.encode(), open(key, "rb").read(), srv.encode())
    if not fields:
        sys.exit("it does not seal this message")
    sys.stdout.buffer.write(b"".join(fields))
