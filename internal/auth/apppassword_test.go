package auth

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/internal/directory"
)

// giveApp adds an app password to an account of the bench.
func (b *bench) giveApp(id int64, address, name, password, protocols string) {
	v, err := HashAppPassword(password, AppSalt(b.secret, address))
	if err != nil {
		panic(err)
	}
	r := b.dir.rows[address]
	r.creds = append(r.creds, directory.Credential{ID: id, Kind: directory.KindApp, Name: name, Protocols: protocols, Verifier: v})
	b.dir.rows[address] = r
}

const phonePassword, tabletPassword = "abcde-fghij-kmnpq-rstuv", "zzzzz-99999-kmnpq-rstuv"

// An app password is found without the dear hash, however it is typed; and only where it
// is good for.
func TestAppPasswordLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last Event
		b := newBench(Options{Observe: func(e Event) { last = e }})
		b.giveApp(50, "anna@example.com", "phone", phonePassword, "imap,submission")
		b.giveApp(51, "anna@example.com", "tablet", tabletPassword, "pop3")
		for _, typed := range []string{phonePassword, "Abcde-fghij-kmnpq-rstuv", "abcdefghijkmnpqrstuv", "ABCDE FGHIJ KMNPQ RSTUV", " abcde- fghij-kmnpq-rstuv "} {
			if err := b.login(home, "anna", typed); err != nil || b.hashes.Load() != 0 || last.Credential != "phone" {
				t.Errorf("%q: %v after %d hashes, %+v", typed, err, b.hashes.Load(), last)
			}
		}
		for range 2 { // checked, then known
			err := b.login(home, "anna", tabletPassword)
			if err != ErrInvalid || last.Reason != `this is the app password "tablet", which is not for imap` || last.Result != ResultInvalid || last.Credential != "" && last.Credential != "tablet" {
				t.Errorf("wrong door: %v, %+v", err, last)
			}
		}
		if err := b.login(home, "anna", "abcde-fghij-kmnpq-rstuw"); err != ErrInvalid || last.Reason != "the password is wrong" {
			t.Errorf("a wrong one: %v, %+v", err, last)
		}
		if err := b.login(home, "bert", phonePassword); err != ErrInvalid {
			t.Errorf("another's: %v", err)
		}
		if err := b.login(home, "anna", "right"); err != nil {
			t.Errorf("the account's own: %v", err)
		}
	})
}

// Where own passwords are not for mail apps, the owner is told so, and nobody else.
func TestOwnPasswordElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last Event
		b := newBench(Options{Settings: Settings{OwnPassword: []string{"web"}}, Observe: func(e Event) { last = e }})
		b.giveApp(50, "anna@example.com", "phone", phonePassword, "")
		for range 2 {
			if err := b.login(home, "anna", "right"); err != ErrInvalid || !strings.Contains(last.Reason, "make an app password") {
				t.Errorf("got %v, %+v", err, last)
			}
		}
		if _, err := b.Authenticate(t.Context(), Attempt{Protocol: "web", Remote: home, Username: "anna@example.com", Password: "right"}); err != nil {
			t.Error(err)
		}
		if err := b.login(home, "anna", "right"); err != ErrInvalid {
			t.Errorf("after a login on the web: %v", err)
		}
		if err := b.login(home, "anna", phonePassword); err != nil {
			t.Error(err)
		}
		if _, err := b.Authenticate(t.Context(), Attempt{Protocol: "web", Remote: home, Username: "anna@example.com", Password: phonePassword}); err != ErrInvalid {
			t.Errorf("an app password on the web: %v", err)
		}
		before := b.hashes.Load()
		b.login(home, "anna", "right")
		if b.hashes.Load() != before {
			t.Error("what is known not to be good was hashed again")
		}
	})
}

func TestTypedApp(t *testing.T) {
	for typed, want := range map[string]string{
		phonePassword: phonePassword, strings.ToUpper(phonePassword): phonePassword,
		"": "", "abcde": "", phonePassword + "x": "", "abcde-fghij-kmnpq-rstu1": "", "abcde-fghij-kmnpq-rstuö": "",
		"abcde_fghij_kmnpq_rstuv": "", strings.Repeat(" ", 60) + "abcdefghijkmnpqrstuv": "",
	} {
		got, ok := typedApp(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", typed, got, ok)
		}
	}
	for range 100 {
		if p := GeneratePassword(); func() bool { got, ok := typedApp(p); return !ok || got != p }() {
			t.Errorf("%q is not what was made", p)
		}
	}
}

// RFC 7677 section 3, its example in the form of RFC 5803.
const exampleVerifier = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

func TestDeriveApp(t *testing.T) {
	v, err := parseAppVerifier(exampleVerifier)
	if err != nil || v.String() != exampleVerifier || !isAppVerifier(exampleVerifier) {
		t.Fatalf("%v, %v", v, err)
	}
	if d, err := deriveApp("pencil", v.appSalt); err != nil || d.String() != exampleVerifier {
		t.Errorf("derived %v, %v", d, err)
	}
	for _, p := range []string{"", "pencil", "Abcde-fghij-kmnpq-rstuv", "abcdefghijkmnpqrstuv"} {
		if _, err := HashAppPassword(p, []byte("saltsaltsalt")); !errors.Is(err, ErrPassword) {
			t.Errorf("%q: %v", p, err)
		}
	}
	if a, b := AppSalt([]byte("k"), "a"), AppSalt([]byte("k"), "b"); len(a) != saltBytes || string(a) == string(b) || string(a) != string(AppSalt([]byte("k"), "a")) {
		t.Error("salts")
	}
}

var badAppVerifiers = []string{
	"", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:$:", strings.Replace(exampleVerifier, "4096", "4095", 1),
	strings.Replace(exampleVerifier, "4096", "1048577", 1), strings.Replace(exampleVerifier, "4096", "+4096", 1),
	strings.Replace(exampleVerifier, "4096", "99999999999999999999", 1), strings.Replace(exampleVerifier, "SHA-256", "SHA-1", 1),
	strings.Replace(exampleVerifier, "W22Z", "W22", 1), strings.Replace(exampleVerifier, "W22ZaJ0SNY7soEsUEjb6gQ==", "YQ==", 1),
	strings.Replace(exampleVerifier, "wfPL", "", 1), exampleVerifier + "=", strings.Replace(exampleVerifier, ":wf", "wf", 1),
}

func TestParseAppVerifierRefuses(t *testing.T) {
	for _, s := range badAppVerifiers {
		if v, err := parseAppVerifier(s); err == nil {
			t.Errorf("%q was taken: %v", s, v)
		}
		if _, ok := SaltOf(s); ok {
			t.Errorf("%q has a salt", s)
		}
	}
	if _, ok := SaltOf(strings.Replace(exampleVerifier, "4096", "8192", 1)); ok {
		t.Error("a salt of other iterations can't be shared")
	}
}

func FuzzParseAppVerifier(f *testing.F) {
	for _, s := range append(badAppVerifiers, exampleVerifier) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := parseAppVerifier(s); err == nil && v.String() != s {
			t.Errorf("%q is %q", s, v)
		}
	})
}

// A broken verifier is logged, and costs nobody else the login.
func TestBrokenAppVerifier(t *testing.T) {
	b := newBench(Options{})
	b.giveApp(50, "anna@example.com", "broken", tabletPassword, "")
	b.dir.rows["anna@example.com"].creds[1].Verifier = "SCRAM-SHA-256$1:x"
	b.giveApp(51, "anna@example.com", "phone", phonePassword, "")
	if err := b.login(home, "anna", phonePassword); err != nil {
		t.Error(err)
	}
	if log := b.log.String(); !strings.Contains(log, "set the password anew") || !strings.Contains(log, "name=broken") || strings.Contains(log, "SCRAM-SHA-256$1") {
		t.Error(log)
	}
}
