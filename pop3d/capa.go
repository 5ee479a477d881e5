package pop3d

import "strings"

// capa lists what the server can do (RFC 2449 section 5); what is not legal or not allowed
// now is left out.
func (s *session) capa(arg string) error {
	if err := noArgument(arg); err != nil {
		return err
	}
	lines := []string{
		"TOP",
		"UIDL",
		"RESP-CODES",
		"AUTH-RESP-CODE", // RFC 3206
		"PIPELINING",
		"EXPIRE NEVER",
		"UTF8 USER", // RFC 6856: the command, and names and passwords in UTF-8
	}
	if s.mayLogin() {
		if s.srv.Auth.PasswordCommands() {
			lines = append(lines, "USER")
		}
		if all := s.srv.Auth.Mechanisms(s.attempt()); len(all) > 0 {
			lines = append(lines, "SASL "+strings.Join(all, " "))
		}
	}
	if s.mayStartTLS() {
		lines = append(lines, "STLS")
	}
	lines = append(lines, "IMPLEMENTATION kurir")
	s.ok("Capabilities follow")
	_, err := s.w().WriteString(strings.Join(lines, "\r\n") + "\r\n.\r\n")
	return err
}

// mayLogin reports whether passwords may be sent on this connection. CAPA says the same
// before and after the login, where that has no more meaning.
func (s *session) mayLogin() bool {
	return s.tls || s.srv.AllowPlaintext != nil && s.srv.AllowPlaintext(s.ip)
}

func (s *session) mayStartTLS() bool {
	return s.state == authorization && s.srv.TLS != nil && !s.tls
}

// enableUTF8 is UTF8 (RFC 6856 section 2). Messages are sent as they are in any case.
func (s *session) enableUTF8(arg string) error {
	if err := noArgument(arg); err != nil {
		return err
	}
	s.utf8 = true
	return s.ok("UTF-8 it is")
}

// stls is STLS (RFC 2595 section 4).
func (s *session) stls(arg string) error {
	switch err := noArgument(arg); {
	case err != nil:
		return err
	case s.srv.TLS == nil:
		return syntax("There is no TLS here")
	case s.tls:
		return syntax("TLS is on already")
	case s.utf8:
		return syntax("STLS has to come before UTF8") // RFC 6856 section 2.1
	case s.in.Buffered() > 0:
		// Somebody in between may have put it there: it must not be taken for what comes through TLS.
		s.err("", "Nothing may follow STLS before its reply")
		return errEnd
	}
	s.ok("Begin TLS now")
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.startTLS(); err != nil {
		s.log.Info("TLS handshake failed", "error", err)
		return errEnd
	}
	s.user = "" // what was learnt without TLS is forgotten
	return nil
}
