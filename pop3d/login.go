package pop3d

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"

	"kurir/internal/auth"
	"kurir/internal/listen"
)

// userName is USER (RFC 1939 section 7). Whether there is such a user shows at no time.
func (s *session) userName(arg string) error {
	switch {
	case !s.mayLogin():
		return errPlaintext()
	case !s.srv.Auth.PasswordCommands():
		return &refusal{code: codeAuth, text: "USER is switched off here: use AUTH", count: true}
	case arg == "" || !utf8.ValidString(arg):
		return syntax("USER takes a name")
	}
	s.user = arg
	return s.ok("Now the password")
}

// password is PASS. All that follows the space belongs to it, spaces as well.
func (s *session) password(arg string) error {
	if s.user == "" {
		return syntax("USER comes first")
	}
	user := s.user
	s.user = ""
	at := s.attempt()
	at.Mechanism, at.Username, at.Password = "USER", user, arg
	return s.login(at)
}

func errPlaintext() error {
	return &refusal{code: codeAuth, text: "Not without TLS: use STLS, or port 995", count: true}
}

// authenticate is AUTH (RFC 5034), with an initial response or without. AUTH alone, of old
// clients, lists the mechanisms.
func (s *session) authenticate(arg string) error {
	if !s.mayLogin() {
		return errPlaintext()
	}
	mech, initial, hasInitial := strings.Cut(arg, " ")
	mech = strings.ToUpper(mech)
	if mech == "" {
		s.ok("")
		_, err := s.w().WriteString(strings.Join(append(s.srv.Auth.Mechanisms(s.attempt()), ".\r\n"), "\r\n"))
		return err
	}
	x := s.srv.Auth.NewExchange(s.work, mech, s.attempt(), s.login)
	if x == nil {
		return syntax("There are the mechanisms " + strings.Join(s.srv.Auth.Mechanisms(s.attempt()), " "))
	}
	var response []byte
	var err error
	if hasInitial {
		response, err = decodeSASL(initial)
	}
	for err == nil {
		challenge, done, verdict := x.Next(response)
		switch {
		case errors.Is(verdict, auth.ErrSyntax):
			return syntax("Not what " + mech + " asks for")
		case done:
			return refusedLogin(verdict)
		}
		response, err = s.ask(challenge)
	}
	return err
}

// ask sends a challenge and returns the client's response (RFC 5034 section 4).
func (s *session) ask(challenge []byte) ([]byte, error) {
	s.w().WriteString("+ " + base64.StdEncoding.EncodeToString(challenge) + "\r\n")
	line, err := s.readLine(maxSASL)
	switch {
	case errors.Is(err, listen.ErrLineTooLong):
		return nil, syntax("Line too long")
	case err != nil:
		return nil, err
	case string(line) == "*":
		return nil, syntax("Cancelled, as you wish")
	}
	return decodeSASL(string(line))
}

// decodeSASL decodes a response, never to nil; "=" is an empty one.
func decodeSASL(s string) ([]byte, error) {
	if s == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, syntax("Not base64")
	}
	return append([]byte{}, b...), nil
}

// attempt is what is known of a login before it begins.
func (s *session) attempt() auth.Attempt {
	return auth.Attempt{Protocol: "pop3", Remote: s.ip, TLS: s.tlsState(), Log: s.log}
}

// refusedLogin is the answer to an exchange that has ended: what login made of it already,
// or what package auth has refused by itself.
func refusedLogin(err error) error {
	var r *refusal
	if auth.Refused(err) && !errors.As(err, &r) {
		return refuseLogin(err)
	}
	return err
}

// login checks what the client has sent, which logs the outcome, and opens the maildrop.
func (s *session) login(at auth.Attempt) error {
	login, err := s.enter(at)
	if err != nil {
		return err
	}
	d, err := openMaildrop(s.work, s.srv.Store, login.Address)
	if err != nil {
		s.srv.sessions().Leave(login)
		return refuse(err)
	}
	if c := listen.From(s.base); c != nil {
		c.Vouch()
	}
	s.entered, s.drop, s.state = login, d, transaction
	return s.ok("Logged in")
}

// enter checks the password and counts the session, which can be ended from then on.
func (s *session) enter(at auth.Attempt) (*auth.Session, error) {
	for {
		mark := s.srv.sessions().Mark()
		good, err := s.srv.Auth.Authenticate(s.work, at)
		if err != nil {
			return nil, refuseLogin(err)
		}
		login := &auth.Session{Address: good.Address, Credential: good.Credential, Remote: s.ip, End: s.endLogin}
		err = s.srv.sessions().Enter(login, mark, orDefault(s.srv.MaxPerAccount, DefaultMaxPerAccount))
		switch {
		case errors.Is(err, auth.ErrStale): // the password may be another since it was checked
		case err != nil:
			s.log.Warn("too many connections of one account", "account", good.Address)
			return nil, &refusal{code: codeSysTemp, text: "Too many connections of this account are open: close some, or try again later"}
		default:
			return login, nil
		}
	}
}
