package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// printLocal tells a person how to use the server that has just begun.
func (s *site) printLocal() {
	ca := quote(s.caFile)
	e := s.env
	e.printf("kurir is running, for this machine alone. Ctrl-C stops it.\n\n")
	e.printf("Accounts      %s\n", strings.Join(localAccounts(), ", "))
	e.printf("User name     the whole address\n")
	e.printf("Password      %s\n\n", localPassword)
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "For\tServer\tPort\tSecurity")
	for _, row := range []struct{ protocol, purpose, security string }{
		{"imap", "IMAP, incoming mail", "STARTTLS or none"},
		{"imaps", "IMAP, incoming mail", "TLS"},
		{"pop3", "POP3, incoming mail", "STARTTLS or none"},
		{"pop3s", "POP3, incoming mail", "TLS"},
		{"submission", "SMTP, outgoing mail", "STARTTLS or none"},
		{"submissions", "SMTP, outgoing mail", "TLS"},
		{"smtp", "SMTP, as other servers deliver", "no login"},
	} {
		if host, port, ok := s.hostPort(row.protocol); ok {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row.purpose, host, port, row.security)
		}
	}
	w.Flush()
	e.printf("\nMail is kept in        %s\n", s.cfg.Data)
	e.printf("Mail to other domains  is held, never sent: kurir queue list --data %s\n", quote(s.cfg.Data))
	e.printf("Certificate to trust   %s\n", s.caFile)
	if at := s.address("http"); at != "" {
		e.printf("Set up a mail app      http://%s/setup\n", at)
		e.printf("Health and metrics     http://%s/\n", at)
	}
	e.printf("\nSend a message, then read it:\n")
	e.printf("  swaks --server %s --from you@example.org --to alice@%s\n", s.address("smtp"), localDomain)
	e.printf("  curl --cacert %s -u alice@%s:%s 'imaps://%s/INBOX;MAILINDEX=1'\n\n", ca, localDomain, localPassword, s.address("imaps"))
}

// quote makes a path safe to paste into a shell.
func quote(s string) string {
	const plain = "/._-+=:@%,"
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(plain, r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
