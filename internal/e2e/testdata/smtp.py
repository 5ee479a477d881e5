"""Sends by SMTP with Python's smtplib: smtp.py HOST SMTP SUBMISSION SUBMISSIONS CA FROM TO PASSWORD"""

import email.policy
import smtplib
import ssl
import sys
from email.message import EmailMessage

host, smtp, submission, submissions, ca, sender, to, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)


def message(subject, origin):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = origin, to, subject
    m.set_content("Grüße\n.\n..\n")
    m.add_attachment(bytes(range(256)) * 400, maintype="application", subtype="octet-stream", filename="käse.bin")
    return m


with smtplib.SMTP(host, int(smtp), timeout=60) as c:
    c.send_message(message("smtplib inbound", "carol@elsewhere.test"))
    c.starttls(context=context)
    c.send_message(message("smtplib inbound TLS", "carol@elsewhere.test"))
    refused = c.sendmail("carol@elsewhere.test", [to, "nobody@local.test"], message("smtplib half", "carol@elsewhere.test").as_bytes(policy=email.policy.SMTP))
    assert list(refused) == ["nobody@local.test"] and refused["nobody@local.test"][0] == 550, refused
    assert c.verify(to)[0] == 252
    assert c.noop()[0] == 250

with smtplib.SMTP(host, int(submission), timeout=60) as c:
    c.starttls(context=context)
    try:
        c.login(sender, "wrong")
        raise AssertionError("a wrong password was taken")
    except smtplib.SMTPAuthenticationError as e:
        assert e.smtp_code == 535, e
    c.login(sender, password)
    c.send_message(message("smtplib submission", sender))
    try:
        c.send_message(message("smtplib forged", to), from_addr=to)
        raise AssertionError("another's address was taken")
    except smtplib.SMTPSenderRefused as e:
        assert e.smtp_code == 553, e

for mechanism in ("PLAIN", "LOGIN"):
    with smtplib.SMTP_SSL(host, int(submissions), timeout=60, context=context) as c:
        c.ehlo()
        c.user, c.password = sender, password
        c.auth(mechanism, getattr(c, "auth_" + mechanism.lower()))
        c.send_message(message("smtplib " + mechanism, sender))
