package config

import (
	"slices"
	"strings"
)

// Login says how people log in.
type Login struct {
	Mechanisms  []string // of Mechanisms; empty: as LoginMechanisms has it
	OwnPassword []string // protocols that an account's own password is good for, of LoginProtocols
}

// Mechanisms are the ways to log in that can be switched, as login.mechanisms names them.
func Mechanisms() []string {
	return []string{"plain", "login", "user", "scram-sha-256", "scram-sha-256-plus", "external"}
}

// LoginProtocols are what passwords can be good for: the setup page and the protocols of mail apps.
func LoginProtocols() []string { return []string{"web", "imap", "pop3", "submission"} }

// loginFields are the keys of [login].
func loginFields(c *Config) []field {
	l := &c.Login
	return []field{
		{key: "login.mechanisms", target: &l.Mechanisms,
			doc: "How mail apps may log in: \"plain\" and \"login\" (AUTH PLAIN and AUTH LOGIN), \"user\" (LOGIN of IMAP,\n" +
				"USER of POP3), \"external\" (a certificate, see tls.client_ca), \"scram-sha-256\" and\n" +
				"\"scram-sha-256-plus\" (app passwords only). [] is the first four, and \"scram-sha-256\" where\n" +
				"own_password names no mail protocol: programs that know SCRAM take it, and fail with an\n" +
				"account's own password."},
		{key: "login.own_password", target: &l.OwnPassword,
			doc: "What an account's own password is good for: \"web\" (the setup page), \"imap\", \"pop3\", \"submission\".\n" +
				"With [\"web\"] each mail app needs an app password (kurir account app add)."},
	}
}

func (l *loader) checkLogins() {
	for _, m := range l.c.Login.Mechanisms {
		l.oneOf("login.mechanisms", m, Mechanisms()...)
	}
	for _, p := range l.c.Login.OwnPassword {
		l.oneOf("login.own_password", p, LoginProtocols()...)
	}
	m := l.c.Login.Mechanisms
	if slices.Contains(m, "external") && l.c.TLS.ClientCA == "" && len(m) == 1 {
		l.wrong("login.mechanisms", "nobody could log in: \"external\" needs tls.client_ca")
	}
}

// loginWarnings tells of ways to log in that somebody will try, and that fail.
func (c *Config) loginWarnings(add func(string, ...any)) {
	m := c.Login.Mechanisms
	if len(m) == 0 {
		return
	}
	scram := slices.ContainsFunc(m, func(s string) bool { return strings.HasPrefix(s, "scram-") })
	sent := slices.ContainsFunc(m, func(s string) bool { return s == "plain" || s == "login" || s == "user" })
	own := slices.ContainsFunc(c.Login.OwnPassword, func(p string) bool { return p != "web" })
	switch {
	case own && scram && sent:
		add("login.mechanisms has SCRAM, which programs such as mbsync and mutt take and which fails with an account's own password: give them app passwords, or set login.own_password = [\"web\"]")
	case own && !sent:
		add("login.mechanisms has none that takes an account's own password: only app passwords and certificates work in mail apps")
	}
	if !scram && !slices.ContainsFunc(m, func(s string) bool { return s == "plain" || s == "login" || s == "external" && c.TLS.ClientCA != "" }) {
		add("login.mechanisms has none for sending mail: nobody can log in to submission (\"user\" is for IMAP and POP3)")
	}
	if slices.Contains(m, "external") && c.TLS.ClientCA == "" {
		add("login.mechanisms has external, which needs tls.client_ca")
	}
}
