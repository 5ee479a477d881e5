package signing

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.RSA = nil
		o.Now = func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }
	})
	r.o.RSA = New(r.db, Options{}).o.RSA // the real one
	keys := r.make("Bücher.example")
	if len(keys) != 2 || keys[0].Name() != "k20261122r._domainkey.xn--bcher-kva.example" || keys[1].Selector != "k20261122e" {
		t.Fatalf("%+v", keys)
	}
	der, err := base64.StdEncoding.DecodeString(keys[0].public)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if k, ok := public.(*rsa.PublicKey); !ok || k.N.BitLen() != 2048 || k.E != 65537 {
		t.Errorf("%T %v", public, err)
	}
	if b, err := base64.StdEncoding.DecodeString(keys[1].public); err != nil || len(b) != ed25519.PublicKeySize {
		t.Errorf("%d %v", len(b), err)
	}
	if again := r.make("bücher.example."); len(again) != 2 || again[0].Selector != keys[0].Selector {
		t.Errorf("made again: %+v", again)
	}
	fresh, made, err := r.Rotate(t.Context(), "bücher.example", false)
	if err != nil || !made || fresh[0].Selector != "k20261122r2" || fresh[1].Selector != "k20261122e2" {
		t.Errorf("on the same day: %v %v", fresh, err)
	}
	records, err := r.Records(t.Context(), "bücher.example")
	if err != nil || len(records) != 4 || records[0].State != Active || records[3].State != Pending {
		t.Fatalf("%v %v", records, err)
	}
	if want := "v=DKIM1; k=ed25519; p=" + keys[1].public; records[1] != (Record{keys[1].Name(), want, Active}) {
		t.Errorf("%+v", records[1])
	}
	if records, err := r.Records(t.Context(), ""); len(records) != 0 || err != nil {
		t.Error(records, err)
	}
	zone := records[0].Zone()
	joined := strings.ReplaceAll(strings.TrimPrefix(zone, keys[0].Name()+". IN TXT \""), "\" \"", "")
	if joined != records[0].Value+"\"" || strings.Count(zone, "\" \"") != 1 || len(strings.Split(zone, "\"")[1]) != 255 {
		t.Error(zone)
	}
	// Another process, or the next start, has the same keys.
	if all, err := New(r.db, r.o).Keys(t.Context(), ""); err != nil || len(all) != 4 || all[0].Record() != records[0] {
		t.Errorf("%v %v", all, err)
	}
	r.make("other.example")
	if err := r.Forget(t.Context(), "bücher.EXAMPLE"); err != nil {
		t.Fatal(err)
	}
	if got := r.list(""); len(got) != 2 || got[0].Domain != "other.example" {
		t.Errorf("%v", got)
	}
}

func TestLook(t *testing.T) {
	r := newRig(t)
	keys := r.make("example.org")
	name, value, other := keys[0].Name(), keys[0].Record().Value, keys[1].Record().Value
	p := keys[0].public
	for _, tt := range []struct {
		texts []string
		want  string
		words string
	}{
		{[]string{value}, Published, ""},
		{[]string{"p=" + p}, Published, ""},
		{[]string{" v = DKIM1 ;t=s; p= " + p[:50] + " \t" + p[50:] + " ; n=x=y;"}, Published, ""},
		{[]string{"v=DKIM1; k=rsa; p=" + strings.TrimRight(p, "=")}, Published, ""},
		{nil, Missing, ""},
		{[]string{}, Missing, ""},
		{[]string{value, value}, Differs, "several"},
		{[]string{"v=spf1 -all"}, Differs, "none of a DKIM key"},
		{[]string{"v=DKIM2; p=" + p}, Differs, "v=DKIM1"},
		{[]string{other}, Differs, "ed25519, not rsa"},
		{[]string{"v=DKIM1; k=rsa; p="}, Differs, "revoked"},
		{[]string{value[:255]}, Differs, "missing"},
		{[]string{value[:len(value)-20] + "AAAAAAAAAAAAAAAAAAAA"}, Differs, "another key"},
	} {
		delete(r.zone.texts, name)
		if tt.texts != nil {
			r.zone.texts[name] = tt.texts
		}
		if got, why := r.Look(t.Context(), keys[0]); got != tt.want || !strings.Contains(why, tt.words) || (why == "") != (tt.words == "") {
			t.Errorf("%.60q: %s, %q", tt.texts, got, why)
		}
	}
	r.zone.err = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	if got, why := r.Look(t.Context(), keys[0]); got != Unknown || !strings.Contains(why, "misbehaving") {
		t.Error(got, why)
	}
	if got, _ := New(r.db, Options{}).Look(t.Context(), keys[0]); got != Unknown {
		t.Error(got)
	}
}

// FuzzCompare: no TXT record takes the server down, and a key's own is known however it is written.
func FuzzCompare(f *testing.F) {
	r := newRig(f)
	k := r.make("example.org")[1]
	f.Add("v=DKIM1; k=ed25519; p=" + k.public)
	f.Add("p=;;=;v==")
	f.Add("k=ed25519;p=" + k.public[:10] + " " + k.public[10:])
	f.Fuzz(func(t *testing.T, text string) {
		state, why := k.compare(text)
		if (state == Published) != (why == "") || state != Published && state != Differs {
			t.Errorf("%q: %s %s", text, state, why)
		}
		if state == Published && !strings.Contains(strings.Join(strings.Fields(text), ""), strings.TrimRight(k.public, "=")) {
			t.Errorf("%q is taken for the key's", text)
		}
	})
}

// Keys are made and used by many at once.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if err := r.Make(t.Context(), "example.org"); err != nil {
				t.Error(err)
			}
			if h := r.sign("example.org", letter); strings.Count(h, "DKIM-Signature") != 2 {
				t.Errorf("%q", h)
			}
			if n == 0 {
				if _, _, err := r.Rotate(t.Context(), "example.org", true); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := r.states("example.org"); strings.Count(got, Active) != 2 {
		t.Error(got)
	}
}

// Nothing is half made when the database gives way.
func TestMakeFault(t *testing.T) {
	r := newRig(t)
	if _, err := r.db.ExecContext(t.Context(), `CREATE TRIGGER no BEFORE INSERT ON dkim_keys WHEN NEW.algorithm = 'ed25519' BEGIN SELECT RAISE(ABORT, 'disk'); END`); err != nil {
		t.Fatal(err)
	}
	if err := r.Make(t.Context(), "example.org"); err == nil {
		t.Fatal("no error")
	}
	if keys := r.list(""); len(keys) != 0 {
		t.Errorf("%v", keys)
	}
	broken := errors.New("no entropy")
	r.o.RSA = func() (*rsa.PrivateKey, error) { return nil, broken }
	if err := r.Make(t.Context(), "example.org"); !errors.Is(err, broken) {
		t.Error(err)
	}
}
