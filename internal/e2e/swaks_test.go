package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What swaks exits with.
const (
	swaksOK         = 0
	swaksNoSender   = 23
	swaksNoRcpt     = 24
	swaksNoData     = 26
	swaksNoLogin    = 28
	swaksNoStartTLS = 29
)

// swaks returns a function that runs swaks against a port, with the certificate checked.
func swaks(t *testing.T, s *server) func(want, port int, args ...string) string {
	c := newClient(t, "swaks")
	return func(want, port int, args ...string) string {
		t.Helper()
		out, code := c.try("", "swaks", append([]string{
			"--server", "127.0.0.1", "--port", s.port(port), "--helo", "client.test", "--timeout", "60",
			"--tls-ca-path", s.ca(), "--tls-verify",
		}, args...)...)
		if code != want {
			t.Errorf("swaks %q: exit code %d, not %d\n%s", args, code, want, clip(out))
		}
		return out
	}
}

// TestSwaksInbound receives from other servers: odd content, several recipients,
// pipelining, with TLS and without.
func TestSwaksInbound(t *testing.T) {
	t.Parallel()
	need(t, "swaks")
	s := newServer(t)
	run := swaks(t, s)
	for _, m := range []struct {
		subject string
		lines   []string
		args    []string
	}{
		{subject: "plain", lines: []string{"Hello"}},
		{subject: "8 bit", lines: []string{"Grüße, πάντα ῥεῖ", "latin \xe4\xf6\xfc"}},
		{subject: "long lines", lines: []string{strings.Repeat("x", 998), strings.Repeat("y", 70000), "end"}},
		{subject: "dots", lines: []string{".", "..", "...three", " .", "", "end"}},
		{subject: "nothing in it", lines: []string{""}},
		{subject: "STARTTLS", lines: []string{"secret"}, args: []string{"-tls"}},
		{subject: "pipelined", lines: []string{"quick"}, args: []string{"--pipeline"}},
		{subject: "pipelined with TLS", lines: []string{"quick"}, args: []string{"--pipeline", "-tls"}},
		{subject: "from nobody", lines: []string{"a bounce"}, args: []string{"--from", "<>"}},
		{subject: "big", lines: slices.Repeat([]string{strings.Repeat("0123456789", 7)}, 40000)},
	} {
		text := letter("carol@elsewhere.test", alice, m.subject, m.lines...)
		file := newClient(t).file("letter", strings.TrimSuffix(strings.ReplaceAll(text, "\r\n", "\n"), "\n")) // swaks adds one
		run(swaksOK, smtpPort, append([]string{"--from", "carol@elsewhere.test", "--to", alice, "--data", "@" + file, "--suppress-data"}, m.args...)...)
		traced(t, s.find(alice, m.subject).body, text)
	}

	run(swaksOK, smtpPort, "--from", "carol@elsewhere.test", "--to", alice+","+bob+",alice+tag@local.test", "--header", "Subject: for three", "--pipeline")
	for _, a := range []string{alice, bob} {
		if body := string(s.find(a, "for three").body); strings.Contains(body, "Delivered-To:") {
			t.Errorf("a message for several tells %s who they are:\n%s", a, body)
		}
	}
	run(swaksOK, smtpPort, "--from", "carol@elsewhere.test", "--to", "postmaster@local.test", "--header", "Subject: for the postmaster")
	contains(t, string(s.find(alice, "for the postmaster").body), "Delivered-To: ")
}

// TestSwaksRefused shows what strangers and users are told that may not do something.
func TestSwaksRefused(t *testing.T) {
	t.Parallel()
	need(t, "swaks")
	s := newServer(t)
	run := swaks(t, s)
	contains(t, run(swaksNoRcpt, smtpPort, "--from", "carol@elsewhere.test", "--to", "nobody@local.test"), "* 550 5.1.1 ")
	contains(t, run(swaksNoRcpt, smtpPort, "--from", "carol@elsewhere.test", "--to", "dave@elsewhere.test"), "* 550 5.7.1 ")
	contains(t, run(swaksNoRcpt, smtpPort, "--pipeline", "--from", alice, "--to", "dave@elsewhere.test"), "* 550 5.7.1 ")
	contains(t, run(swaksOK, smtpPort, "--from", "carol@elsewhere.test", "--to", "nobody@local.test,"+bob, "--header", "Subject: half"), "* 550 5.1.1 ", "<-  250 ")
	s.find(bob, "half")

	submit := []string{"-tls", "--from", bob, "--to", alice}
	contains(t, run(swaksNoSender, submissionPort, submit...), "* 530 5.7.0 ")
	contains(t, run(swaksNoLogin, submissionPort, append(submit, "--auth", "PLAIN", "--auth-user", bob, "--auth-password", "wrong")...), "* 535 5.7.8 ")
	contains(t, run(swaksNoLogin, submissionPort, append(submit, "--auth", "LOGIN", "--auth-user", "nobody@local.test", "--auth-password", password)...), "* 535 5.7.8 ")
	login := []string{"-tls", "--auth", "PLAIN", "--auth-user", bob, "--auth-password", password}
	contains(t, run(swaksNoSender, submissionPort, append(login, "--from", alice, "--to", bob)...), "* 553 5.7.1 ")
	contains(t, run(swaksNoData, submissionPort, append(login, "--from", bob, "--to", alice, "--h-From", alice)...), "* 553 5.7.1 ")
	contains(t, run(swaksNoRcpt, submissionPort, append(login, "--from", bob, "--to", "dave@elsewhere")...), "* 550 5.1.2 ")
	if n := len(s.mailboxOf(alice, "INBOX").messages); n != 0 {
		t.Errorf("%d messages came through", n)
	}
}

// TestSwaksSubmission logs in by every mechanism on every port.
func TestSwaksSubmission(t *testing.T) {
	t.Parallel()
	need(t, "swaks")
	s := newServer(t)
	run := swaks(t, s)
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		for port, tls := range map[int]string{submissionPort: "-tls", submissionsPort: "-tlsc"} {
			subject := fmt.Sprintf("%s by %d", mechanism, port)
			out := run(swaksOK, port, tls, "--auth", mechanism, "--auth-user", bob, "--auth-password", password,
				"--from", bob, "--to", alice, "--header", "Subject: "+subject, "--header", "Bcc: carol@elsewhere.test")
			contains(t, out, "235 ")
			body := string(s.find(alice, subject).body)
			contains(t, body, "From: "+bob, "with ESMTPSA")
			if strings.Contains(body, "Bcc:") {
				t.Errorf("Bcc is still there:\n%s", body)
			}
		}
	}
}
