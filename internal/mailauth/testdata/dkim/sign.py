# Signs messages with dkimpy: sign.py ALGORITHM HEADERFORM BODYFORM KEY MESSAGE...
# The signed message goes to MESSAGE.signed.
import sys
import dkim

algorithm, header, body, key = sys.argv[1:5]
for path in sys.argv[5:]:
    with open(path, "rb") as f:
        message = f.read()
    with open(key, "rb") as f:
        signer = dkim.DKIM(message, signature_algorithm=algorithm.encode())
        field = signer.sign(b"s", b"example.org", f.read(), canonicalize=(header.encode(), body.encode()),
                            include_headers=[b"from", b"to", b"subject", b"from"])
    with open(path + ".signed", "wb") as f:
        f.write(field + message)
