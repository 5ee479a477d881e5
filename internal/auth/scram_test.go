package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdg-go/scram"

	"kurir/internal/directory"
)

var everything = Settings{Mechanisms: KnownMechanisms()}

// scramBench is a bench with SCRAM, anna's phone and tablet, and the events that it told.
type scramBench struct {
	*bench
	t    *testing.T
	seen []Event
}

func newScramBench(t *testing.T) *scramBench {
	b := &scramBench{t: t}
	b.bench = newBench(Options{Settings: everything, Secret: []byte("secret"), Observe: func(e Event) { b.seen = append(b.seen, e) }})
	b.giveApp(50, "anna@example.com", "phone", phonePassword, "imap")
	b.giveApp(51, "anna@example.com", "tablet", tabletPassword, "")
	b.giveApp(52, "anna@example.com", "pop", "ppppp-ppppp-ppppp-ppppp", "pop3")
	return b
}

// client is a conversation of the library's client.
func (b *scramBench) client(name, password, identity string) *scram.Client {
	c, err := scram.SHA256.NewClient(name, password, identity)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// talk runs a client against an exchange and returns who logged in. tamper may change what
// the client sends.
func (b *scramBench) talk(mechanism string, at Attempt, c *scram.ClientConversation, tamper func(n int, m string) string) (got Login, err error) {
	b.t.Helper()
	logins := 0
	x := b.NewExchange(b.t.Context(), mechanism, at, func(at Attempt) (err error) {
		logins++
		got, err = b.Authenticate(b.t.Context(), at)
		return err
	})
	if x == nil {
		b.t.Fatalf("%s is not on offer", mechanism)
	}
	challenge, done, err := x.Next(nil)
	if err != nil || done || challenge == nil || len(challenge) != 0 {
		b.t.Fatalf("without an initial response: %q, %v, %v", challenge, done, err)
	}
	for n := 0; ; n++ {
		m, err := c.Step(string(challenge))
		if err != nil {
			b.t.Fatalf("the client does not believe the server: %v", err)
		}
		if tamper != nil {
			m = tamper(n, m)
		}
		challenge, done, err = x.Next([]byte(m))
		if done {
			if err == nil && !c.Valid() {
				b.t.Error("the server did not prove that it knows the password")
			}
			if err == nil && logins != 1 {
				b.t.Errorf("%d logins", logins)
			}
			return got, err
		}
		if n > 3 {
			b.t.Fatal("no end")
		}
	}
}

var imapAt = Attempt{Protocol: "imap", Remote: home}

// Each app password works, and tells which it was. The account's own does not.
func TestScram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name, password, identity string
			want                     Login
			err                      error
			reason                   string
		}{
			{"anna@example.com", phonePassword, "", Login{"anna@example.com", 50, "phone"}, nil, "logged in"},
			{"ANNA@Example.com", tabletPassword, "anna@example.com", Login{"anna@example.com", 51, "tablet"}, nil, "logged in"},
			{"anna@example.com", tabletPassword, "bert@example.com", Login{}, ErrInvalid, "the password is wrong"},
			{"anna@example.com", "ppppp-ppppp-ppppp-ppppp", "", Login{}, ErrInvalid, `this is the app password "pop", which is not for imap`},
			{"anna@example.com", "right", "", Login{}, ErrInvalid, "app passwords alone"},
			{"anna@example.com", "Abcde-fghij-kmnpq-rstuv", "", Login{}, ErrInvalid, "app passwords alone"},
			{"bert@example.com", "right", "", Login{}, ErrInvalid, "app passwords alone"},
			{"nobody@example.com", phonePassword, "", Login{}, ErrInvalid, "app passwords alone"},
			{"x@elsewhere.test", phonePassword, "", Login{}, ErrInvalid, "app passwords alone"},
			{"no address, at=all", phonePassword, "", Login{}, ErrInvalid, "app passwords alone"},
		} {
			b := newScramBench(t)
			got, err := b.talk("SCRAM-SHA-256", imapAt, b.client(c.name, c.password, c.identity).NewConversation(), nil)
			if got != c.want || err != c.err {
				t.Errorf("%s %s: got %+v, %v", c.name, c.password, got, err)
			}
			if len(b.seen) != 1 || !strings.Contains(b.seen[0].Reason, c.reason) || b.seen[0].Mechanism != "SCRAM-SHA-256" || b.hashes.Load() != 0 {
				t.Errorf("%s %s: %+v, %d hashes", c.name, c.password, b.seen, b.hashes.Load())
			}
			if log := b.log.String(); strings.Contains(log, c.password) {
				t.Errorf("the log has a password: %s", log)
			}
		}
	})
}

// serverFirst is what a name is told: its salt and iterations.
func (b *scramBench) serverFirst(name string) string {
	x := b.NewExchange(b.t.Context(), "SCRAM-SHA-256", imapAt, nil)
	m, done, err := x.Next([]byte("n,,n=" + name + ",r=clientnonce"))
	if err != nil || done {
		b.t.Fatalf("%s: %v", name, err)
	}
	_, salt, ok := strings.Cut(string(m), ",")
	if !ok || !strings.HasPrefix(string(m), "r=clientnonce") {
		b.t.Fatalf("%s: %q", name, m)
	}
	return salt
}

// Nobody's salt is like somebody's: the same each time, on each start and in each spelling,
// and another for each name.
func TestScramTellsNobodyApart(t *testing.T) {
	b, again := newScramBench(t), newScramBench(t)
	seen := map[string]string{}
	for _, name := range []string{"anna@example.com", "bert@example.com", "nobody@example.com", "x@elsewhere.test", "what"} {
		salt := b.serverFirst(name)
		if s := b.serverFirst(strings.ToUpper(name)); s != salt {
			t.Errorf("%s: %s in capitals, %s else", name, s, salt)
		}
		if s := again.serverFirst(name); s != salt {
			t.Errorf("%s: %s after a new start, %s before", name, s, salt)
		}
		if other := seen[salt]; other != "" || !strings.HasSuffix(salt, ",i=4096") || len(salt) != len(b.serverFirst("anna@example.com")) {
			t.Errorf("%s: %s (as %s)", name, salt, other)
		}
		seen[salt] = name
	}
	before := b.serverFirst("bert@example.com")
	b.giveApp(60, "bert@example.com", "first", phonePassword, "")
	if after := b.serverFirst("bert@example.com"); after != before {
		t.Errorf("the first app password shows: %s, then %s", before, after)
	}
}

// Failures slow down as those with passwords do, whoever is asked for.
func TestScramIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScramBench(t)
		var err error
		n, start := 0, time.Now()
		for ; n < 30 && !errors.Is(err, ErrThrottled); n++ {
			_, err = b.talk("SCRAM-SHA-256", imapAt, b.client("anna@example.com", "zzzzz-zzzzz-zzzzz-zzzzz", "").NewConversation(), nil)
		}
		if n != 11 || time.Since(start) < 20*time.Second {
			t.Errorf("%d tries in %v", n, time.Since(start))
		}
		// The right one is not looked at either, and is not told apart.
		if _, err := b.talk("SCRAM-SHA-256", imapAt, b.client("anna@example.com", phonePassword, "").NewConversation(), nil); !errors.Is(err, ErrThrottled) {
			t.Error(err)
		}
	})
}

// What was revoked or disabled after the proof and before the session begins does not get in.
func TestScramLooksTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, change := range map[string]func(*row){
			"revoked":  func(r *row) { r.creds = append([]directory.Credential{}, r.creds[:1]...) },
			"disabled": func(r *row) { r.acc.Disabled = true },
		} {
			b := newScramBench(t)
			c := b.client("anna@example.com", phonePassword, "").NewConversation()
			_, err := b.talk("SCRAM-SHA-256", imapAt, c, func(n int, m string) string {
				if n == 2 {
					r := b.dir.rows["anna@example.com"]
					change(&r)
					b.dir.rows["anna@example.com"] = r
				}
				return m
			})
			if err == nil || len(b.seen) != 1 || b.seen[0].Result == ResultOK {
				t.Errorf("%s: %v, %+v", what, err, b.seen)
			}
		}
	})
}

// Bad messages end the exchange with ErrSyntax, and others with ErrInvalid.
func TestScramMessages(t *testing.T) {
	for _, c := range []struct {
		first, final string
		want         error
	}{
		{"", "", ErrSyntax},
		{"n", "", ErrSyntax},
		{"n,,", "", ErrSyntax},
		{"n,,n=anna@example.com", "", ErrSyntax},
		{"x,,n=anna@example.com,r=abc", "", ErrSyntax},
		{"n,,m=ext,n=anna@example.com,r=abc", "", ErrSyntax},
		{"n,,n=anna@example.com,r=abc,m=ext", "c=biws,r=NONCE,p=" + strings.Repeat("A", 43) + "=", ErrSyntax},
		{"n,,n=anna@example.com,r=abc", "c=biws,r=NONCE,m=ext,p=" + strings.Repeat("A", 43) + "=", ErrSyntax},
		{"n,,n=anna@example.com,r=abc,x=ext", "c=biws,r=NONCE,y=ext,p=" + strings.Repeat("A", 43) + "=", ErrInvalid}, // need not be understood
		{"n,,n=an=na@example.com,r=abc", "", ErrSyntax},
		{"n,,n=,r=abc", "", ErrSyntax},
		{"n,,n=a\x00b,r=abc", "", ErrSyntax},
		{"n,,n=\xff,r=abc", "", ErrSyntax},
		{"n,,n=" + strings.Repeat("a", maxField+1) + ",r=abc", "", ErrSyntax},
		{"n,,n=a,r=" + strings.Repeat("a", maxScram), "", ErrSyntax},
		{"p=tls-exporter,,n=anna@example.com,r=abc", "", ErrSyntax}, // not PLUS
		{"n,,n=anna@example.com,r=abc", "", ErrSyntax},
		{"n,,n=anna@example.com,r=abc", "c=biws", ErrSyntax},
		{"n,,n=anna@example.com,r=abc", "c=biws,r=abc,p=AAAA", ErrSyntax}, // not our nonce
		{"n,,n=anna@example.com,r=abc", "c=!,r=NONCE,p=AAAA", ErrSyntax},
		{"n,,n=anna@example.com,r=abc", "c=biws,r=NONCE,p=!", ErrSyntax},
		{"n,,n=anna@example.com,r=abc", "c=eSws,r=NONCE,p=AAAA", ErrInvalid}, // "y,,", which was not said
		{"n,,n=anna@example.com,r=abc", "c=biws,r=NONCE,p=AAAA", ErrSyntax},  // too short for a proof
		{"n,,n=anna@example.com,r=abc", "c=biws,r=NONCE,p=" + strings.Repeat("A", 43) + "=", ErrInvalid},
		{"n,,n=nobody@example.com,r=abc", "c=biws", ErrSyntax},
		{"n,,n=nobody@example.com,r=abc", "c=biws,r=NONCE,p=" + strings.Repeat("A", 43) + "=", ErrInvalid},
	} {
		b := newScramBench(t)
		x := b.NewExchange(t.Context(), "SCRAM-SHA-256", imapAt, nil)
		m, done, err := x.Next([]byte(c.first))
		if err == nil && !done {
			nonce, _, _ := strings.Cut(strings.TrimPrefix(string(m), "r="), ",")
			_, done, err = x.Next([]byte(strings.Replace(c.final, "NONCE", nonce, 1)))
		}
		if !done || err != c.want {
			t.Errorf("%.60q %.60q: %v, %v, want %v", c.first, c.final, done, err, c.want)
		}
	}
}

// The answer to the server's signature is empty; anything else is no login.
func TestScramEnd(t *testing.T) {
	b := newScramBench(t)
	_, err := b.talk("SCRAM-SHA-256", imapAt, b.client("anna@example.com", phonePassword, "").NewConversation(), func(n int, m string) string {
		if n == 2 {
			return "more"
		}
		return m
	})
	if err != ErrSyntax || len(b.seen) != 0 {
		t.Errorf("%v, %+v", err, b.seen)
	}
}

// overTLS returns the two ends' states of a TLS connection.
func overTLS(t testing.TB, version uint16) (client, server tls.ConnectionState) {
	t.Helper()
	a, b := net.Pipe()
	conf := tlsPair(t)
	conf.MaxVersion = version
	s := tls.Server(a, conf)
	c := tls.Client(b, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }() // ends with the client's
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return c.ConnectionState(), s.ConnectionState()
}

// SCRAM-SHA-256-PLUS holds on the connection that the client sees, and on no other.
func TestScramPlus(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		client, server := overTLS(t, version)
		b := newScramBench(t)
		at := Attempt{Protocol: "imap", Remote: home, TLS: &server}
		exporter, err := scram.NewTLSExporterBinding(&client)
		if err != nil {
			t.Fatal(err)
		}
		bindings := []scram.ChannelBinding{exporter}
		if version == tls.VersionTLS12 {
			bindings = append(bindings, scram.NewTLSUniqueBinding(client.TLSUnique))
		}
		for _, cb := range bindings {
			got, err := b.talk("SCRAM-SHA-256-PLUS", at, b.client("anna@example.com", phonePassword, "").NewConversationWithChannelBinding(cb), nil)
			if err != nil || got.Name != "phone" {
				t.Errorf("%s: %v, %v", cb.Type, got, err)
			}
		}
		// Somebody in between has another connection to us.
		other, _ := overTLS(t, version)
		cb, _ := scram.NewTLSExporterBinding(&other)
		b.seen = nil
		_, err = b.talk("SCRAM-SHA-256-PLUS", at, b.client("anna@example.com", phonePassword, "").NewConversationWithChannelBinding(cb), nil)
		if err != ErrInvalid || len(b.seen) != 1 || !strings.Contains(b.seen[0].Reason, "in between") {
			t.Errorf("another connection: %v, %+v", err, b.seen)
		}
		// It hides PLUS from the client, which says that it could have.
		b.seen = nil
		_, err = b.talk("SCRAM-SHA-256", at, b.client("anna@example.com", phonePassword, "").NewConversationAdvertisingChannelBinding(), nil)
		if err != ErrInvalid || len(b.seen) != 1 || !strings.Contains(b.seen[0].Reason, "was not told that SCRAM-SHA-256-PLUS") {
			t.Errorf("downgraded: %v, %+v", err, b.seen)
		}
		// Where PLUS is switched off, saying so is no sign of anything.
		b.Configure(Settings{Mechanisms: []string{Scram}})
		if _, err = b.talk("SCRAM-SHA-256", at, b.client("anna@example.com", phonePassword, "").NewConversationAdvertisingChannelBinding(), nil); err != nil {
			t.Errorf("without PLUS: %v", err)
		}
		b.Configure(everything)
		for first, want := range map[string]error{
			"n,,n=anna@example.com,r=abc":                      ErrSyntax, // PLUS without a binding
			"p=tls-server-end-point,,n=anna@example.com,r=abc": ErrInvalid,
			"p=something,,n=anna@example.com,r=abc":            ErrSyntax,
		} {
			x := b.NewExchange(t.Context(), "SCRAM-SHA-256-PLUS", at, nil)
			if _, done, err := x.Next([]byte(first)); !done || err != want {
				t.Errorf("%q: %v, %v", first, done, err)
			}
		}
	}
}

// The directory's trouble is told as such, at each step.
func TestScramUnavailable(t *testing.T) {
	b := newScramBench(t)
	b.dir.fails = errors.New("disk on fire")
	x := b.NewExchange(t.Context(), "SCRAM-SHA-256", imapAt, nil)
	if _, done, err := x.Next([]byte("n,,n=anna@example.com,r=abc")); !done || !errors.Is(err, ErrUnavailable) || len(b.seen) != 1 {
		t.Errorf("%v, %v, %+v", done, err, b.seen)
	}
}

func TestMechanisms(t *testing.T) {
	_, state := overTLS(t, tls.VersionTLS13)
	withCert := state
	withCert.VerifiedChains = [][]*x509.Certificate{{{EmailAddresses: []string{"anna@example.com"}}}}
	noName := state
	noName.VerifiedChains = [][]*x509.Certificate{{{}}}
	for _, c := range []struct {
		settings Settings
		tls      *tls.ConnectionState
		want     string
		commands bool
	}{
		{Settings{}, nil, "PLAIN LOGIN", true},
		{Settings{}, &state, "PLAIN LOGIN", true},
		{Settings{OwnPassword: []string{"web", "imap"}}, &state, "PLAIN LOGIN", true},
		{Settings{OwnPassword: []string{"web"}}, &state, "SCRAM-SHA-256 PLAIN LOGIN", true},
		{Settings{OwnPassword: []string{}}, nil, "SCRAM-SHA-256 PLAIN LOGIN", true},
		{Settings{}, &withCert, "EXTERNAL PLAIN LOGIN", true},
		{Settings{}, &noName, "PLAIN LOGIN", true},
		{everything, &withCert, "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", true},
		{Settings{Mechanisms: []string{Scram}}, &withCert, "SCRAM-SHA-256", false},
		{Settings{Mechanisms: []string{}}, &withCert, "", false},
	} {
		a := New(Options{Directory: noDirectory{}, Settings: c.settings})
		if got := strings.Join(a.Mechanisms(Attempt{TLS: c.tls}), " "); got != c.want || a.PasswordCommands() != c.commands {
			t.Errorf("%+v: %q, %v", c.settings, got, a.PasswordCommands())
		}
		for _, m := range []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", "CRAM-MD5", "plain", ""} {
			x := a.NewExchange(t.Context(), m, Attempt{TLS: c.tls}, nil)
			if offered := m != "" && strings.Contains(" "+c.want+" ", " "+m+" "); offered != (x != nil) {
				t.Errorf("%+v: %s is %T", c.settings, m, x)
			}
		}
	}
}

// EXTERNAL: the certificate says who it is, and the client which of its accounts is meant.
func TestExternal(t *testing.T) {
	var last Event
	b := newBench(Options{Observe: func(e Event) { last = e }})
	r := b.dir.rows["carl@example.com"]
	r.acc.Disabled = true
	b.dir.rows["carl@example.com"] = r
	for _, c := range []struct {
		certificate, identity string
		want                  string
		err                   error
	}{
		{"anna@example.com", "", "anna@example.com", nil},
		{"Anna@Example.com", "anna@example.com", "anna@example.com", nil},
		{"old@elsewhere.test bert@example.com anna@example.com", "", "bert@example.com", nil},
		{"bert@example.com anna@example.com", "ANNA@example.com", "anna@example.com", nil},
		{"anna@example.com", "bert@example.com", "", ErrInvalid},
		{"anna@example.com", "nobody@example.com", "", ErrInvalid},
		{"nobody@example.com", "", "", ErrInvalid},
		{"nobody@example.com", "nobody@example.com", "", ErrInvalid},
		{"carl@example.com", "", "", ErrDisabled},
		{"anna@example.com", "a\x00b", "", ErrSyntax},
		{"anna@example.com", strings.Repeat("a", maxField+1), "", ErrSyntax},
	} {
		at := Attempt{Protocol: "imap", Remote: home, TLS: &tls.ConnectionState{
			Version: tls.VersionTLS13, VerifiedChains: [][]*x509.Certificate{{{EmailAddresses: strings.Fields(c.certificate)}}},
		}}
		var got Login
		x := b.NewExchange(t.Context(), "EXTERNAL", at, func(at Attempt) (err error) {
			got, err = b.Authenticate(t.Context(), at)
			return err
		})
		if challenge, done, err := x.Next(nil); challenge == nil || len(challenge) != 0 || done || err != nil {
			t.Fatal(challenge, done, err)
		}
		_, done, err := x.Next([]byte(c.identity))
		if !done || got.Address != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
		if c.err == nil && (last.Mechanism != "EXTERNAL" || last.Account != c.want || last.Credential != "") {
			t.Errorf("%+v: %+v", c, last)
		}
	}
	if b.hashes.Load() != 0 {
		t.Error("a password was looked at")
	}
	// Who says so of himself is not believed.
	if _, err := b.Authenticate(t.Context(), Attempt{Username: "anna@example.com", external: true}); err != ErrInvalid {
		t.Error(err)
	}
}

// FuzzScram: no message of a client logs in that does not know a password, or breaks anything.
func FuzzScram(f *testing.F) {
	for _, s := range []string{
		"n,,n=anna@example.com,r=abc|c=biws,r=NONCE,p=" + strings.Repeat("A", 43) + "=", "y,a=b,n=a=2Cb,r=x|c=eSxhPWIs,r=NONCE,x=y,p=AAAA",
		"p=tls-exporter,,n=a,r=b|c=,r=,p=", "n,,m=1,n=a,r=b|", "|", "n,,n=nobody@example.com,r=abc|c=biws,r=NONCE,p=AAAA",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	b := newBench(Options{Settings: everything, Limits: Limits{SlowAfter: 1 << 30, PauseAfter: 1 << 30}})
	b.giveApp(50, "anna@example.com", "phone", phonePassword, "")
	_, state := overTLS(f, tls.VersionTLS12)
	f.Fuzz(func(t *testing.T, s string, plus bool) {
		at, mechanism := Attempt{Protocol: "imap", TLS: &state}, "SCRAM-SHA-256"
		if plus {
			mechanism += "-PLUS"
		}
		x := b.NewExchange(t.Context(), mechanism, at, func(Attempt) error { return errors.New("logged in") })
		first, final, _ := strings.Cut(s, "|")
		m, done, err := x.Next([]byte(first))
		if err == nil && !done {
			nonce, _, _ := strings.Cut(strings.TrimPrefix(string(m), "r="), ",")
			_, done, err = x.Next([]byte(strings.Replace(final, "NONCE", nonce, 1)))
		}
		if !done || err != ErrSyntax && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, %v", s, done, err)
		}
	})
}

// BenchmarkScram is one login by each way of an app password: proven, sent for the first
// time, and sent again.
func BenchmarkScram(b *testing.B) {
	t := newBench(Options{Settings: everything})
	t.giveApp(50, "anna@example.com", "phone", phonePassword, "")
	b.Run("SCRAM", func(b *testing.B) {
		c, _ := scram.SHA256.NewClient("anna@example.com", phonePassword, "") // derives its key once
		for b.Loop() {
			x := t.NewExchange(b.Context(), "SCRAM-SHA-256", imapAt, func(at Attempt) error {
				_, err := t.Authenticate(b.Context(), at)
				return err
			})
			conv, m := c.NewConversation(), []byte(nil)
			for done := false; !done; {
				s, _ := conv.Step(string(m))
				var err error
				if m, done, err = x.Next([]byte(s)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	plain := func(forget bool) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if forget {
					t.Forget("anna@example.com")
				}
				if err := t.login(home, "anna", phonePassword); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("PLAIN", plain(true))
	b.Run("PLAIN again", plain(false))
}
