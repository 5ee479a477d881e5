package admin

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"kurir/internal/auth"
	"kurir/internal/directory"
)

func (w *world) appPassword(address, name string, protocols ...string) AddedAppPassword {
	w.t.Helper()
	added, err := w.AddAppPassword(w.t.Context(), NewAppPassword{address, name, protocols})
	w.ok(err)
	return added
}

func TestAppPasswords(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	if all, err := w.ListAppPasswords(ctx, "alice@example.test"); err != nil || all == nil || len(all) != 0 {
		t.Errorf("before the first: %v, %v", all, err)
	}
	phone := w.appPassword("ALICE@example.test", " Alice's phone ", "submission", "imap", "imap")
	if phone.Address != "alice@example.test" || phone.Name != "Alice's phone" || !reflect.DeepEqual(phone.Protocols, []string{"imap", "submission"}) {
		t.Errorf("got %+v", phone)
	}
	tablet := w.appPassword("alice@example.test", "tablet")
	if tablet.Password == phone.Password || len(tablet.Protocols) != 3 {
		t.Errorf("got %+v", tablet)
	}
	check := func(protocol, password string, want error) {
		t.Helper()
		a := auth.New(auth.Options{Directory: w.Directory})
		if _, err := a.Authenticate(ctx, auth.Attempt{Protocol: protocol, Username: "alice@example.test", Password: password}); err != want {
			t.Errorf("%s: got %v, want %v", protocol, err, want)
		}
	}
	check("imap", phone.Password, nil)
	check("pop3", phone.Password, auth.ErrInvalid)
	check("pop3", tablet.Password, nil)
	check("imap", "a fine password", nil)
	w.ok(w.RevokeAppPassword(ctx, RevokeAppPassword{"alice@example.test", "Alice's phone"}))
	check("imap", phone.Password, auth.ErrInvalid)
	check("imap", tablet.Password, nil)
	all, err := w.ListAppPasswords(ctx, "alice@example.test")
	if err != nil || len(all) != 1 || all[0].Name != "tablet" || all[0].Created.IsZero() || !all[0].LastUsed.IsZero() {
		t.Errorf("got %+v, %v", all, err)
	}
}

// The salt is one for the account, the first from the server's secret, and stays when the
// address changes.
func TestAppPasswordsShareTheSalt(t *testing.T) {
	w := newWorld(t)
	w.LoginSecret = []byte("secret")
	w.add("alice@example.test")
	w.appPassword("alice@example.test", "one")
	w.ok(w.RenameAccount(t.Context(), Rename{"alice@example.test", "ann@example.test"}))
	w.appPassword("ann@example.test", "two")
	creds, err := w.Directory.Credentials(t.Context(), "ann@example.test")
	w.ok(err)
	one, ok1 := auth.SaltOf(creds[1].Verifier)
	two, ok2 := auth.SaltOf(creds[2].Verifier)
	want := auth.AppSalt([]byte("secret"), "alice@example.test")
	if !ok1 || !ok2 || string(one) != string(two) || string(one) != string(want) {
		t.Errorf("salts %x and %x, want %x", one, two, want)
	}
	w.LoginSecret = nil
	w.add("bob@example.test")
	w.appPassword("bob@example.test", "one")
	creds, _ = w.Directory.Credentials(t.Context(), "bob@example.test")
	if salt, ok := auth.SaltOf(creds[1].Verifier); !ok || len(salt) != 16 || string(salt) == string(want) {
		t.Errorf("without a secret the salt is %x", salt)
	}
}

// Revoking ends the sessions of that app password and of no other.
func TestRevokedSessionsEnd(t *testing.T) {
	w := newWorld(t)
	type end struct {
		address string
		id      int64
	}
	var ended []end
	w.EndCredential = func(address string, id int64) { ended = append(ended, end{address, id}) }
	w.add("alice@example.test")
	w.appPassword("alice@example.test", "phone")
	w.appPassword("alice@example.test", "tablet")
	creds, err := w.Directory.Credentials(t.Context(), "alice@example.test")
	w.ok(err)
	w.ok(w.RevokeAppPassword(t.Context(), RevokeAppPassword{"Alice@example.test", " phone "}))
	if !reflect.DeepEqual(ended, []end{{"alice@example.test", creds[1].ID}}) || len(w.forgotten) != 0 {
		t.Errorf("ended %v, forgotten %v", ended, w.forgotten)
	}
	w.fails(w.RevokeAppPassword(t.Context(), RevokeAppPassword{"alice@example.test", "phone"}), directory.ErrNoCredential,
		"alice@example.test", `"phone"`, "kurir account app list")
	if len(ended) != 1 {
		t.Error("sessions of nothing were ended")
	}
}

func TestAppPasswordsRefused(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	_, err := w.AddAppPassword(ctx, NewAppPassword{Address: "nobody@example.test", Name: "phone"})
	w.fails(err, directory.ErrNoAccount)
	_, err = w.ListAppPasswords(ctx, "alice@elsewhere.test")
	w.fails(err, directory.ErrNoDomain)
	w.fails(w.RevokeAppPassword(ctx, RevokeAppPassword{"", "phone"}), directory.ErrInvalidAddress)
	for _, c := range []struct {
		n    NewAppPassword
		says string
	}{
		{NewAppPassword{Name: " "}, "needs a name"},
		{NewAppPassword{Name: "a\x1b[2Jb"}, "control characters"},
		{NewAppPassword{Name: "\xff"}, "control characters"},
		{NewAppPassword{Name: strings.Repeat("é", 65)}, "64 characters"},
		{NewAppPassword{Name: "x", Protocols: []string{"imap", "web"}}, `"web" is no protocol`},
		{NewAppPassword{Name: "x", Protocols: []string{""}}, `"" is no protocol`},
	} {
		c.n.Address = "alice@example.test"
		if _, err := w.AddAppPassword(ctx, c.n); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.n, err, c.says)
		}
	}
	w.appPassword("alice@example.test", strings.Repeat("é", 64))
	w.appPassword("alice@example.test", "phone")
	_, err = w.AddAppPassword(ctx, NewAppPassword{Address: "alice@example.test", Name: "phone"})
	w.fails(err, directory.ErrExists, "kurir account app revoke", "another name")
	for i := range directory.MaxCredentials - 3 {
		w.appPassword("alice@example.test", fmt.Sprint("device ", i))
	}
	_, err = w.AddAppPassword(ctx, NewAppPassword{Address: "alice@example.test", Name: "one more"})
	w.fails(err, directory.ErrInUse, "revoke one first")
}

// The list tells of the last use as the database has it, and of what earlier versions left.
func TestAppPasswordUse(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.appPassword("alice@example.test", "phone")
	old, err := w.Directory.AddCredential(ctx, "alice@example.test", directory.Credential{Kind: directory.KindApp, Name: "old", Verifier: "x"})
	w.ok(err)
	at := time.Unix(2e9, 0).UTC()
	w.ok(w.Directory.Touch(ctx, map[int64]directory.Use{old.ID: {At: at, From: "2001:db8::1"}}))
	all, err := w.ListAppPasswords(ctx, "alice@example.test")
	if err != nil || len(all) != 2 || !all[0].LastUsed.IsZero() || !all[1].LastUsed.Equal(at) || all[1].LastFrom != "2001:db8::1" || len(all[1].Protocols) != 3 {
		t.Errorf("got %+v, %v", all, err)
	}
}
