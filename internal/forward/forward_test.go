package forward

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/internal/mailauth"
	"kurir/internal/mailauth/arc"
	"kurir/internal/policy"
	"kurir/internal/sqldb"
)

// rig is a Forwarder of example.test, which has the account alice and the alias friend.
type rig struct {
	*Forwarder
	db  *sqldb.DB
	dir *directory.Directory
	now time.Time
	log bytes.Buffer
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{now: time.Unix(1_800_000_000, 0)}
	var err error
	if r.db, err = sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), directory.Migrations, Migrations); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.db.Close() })
	r.dir = directory.New(r.db)
	for _, err := range []error{
		second(r.dir.AddDomain(t.Context(), "example.test")),
		second(r.dir.AddDomainAlias(t.Context(), "also.test", "example.test")),
		second(r.dir.AddAccount(t.Context(), "alice@example.test", directory.AccountOptions{})),
		second(r.dir.AddForward(t.Context(), "friend@example.test", nil, []string{"friend@elsewhere.test"}, false)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	o.Directory, o.Now, o.Log = r.dir, func() time.Time { return r.now }, slog.New(slog.NewTextHandler(&r.log, nil))
	if r.Forwarder, err = New(t.Context(), r.db, o); err != nil {
		t.Fatal(err)
	}
	return r
}

func second[T any](_ T, err error) error { return err }

func (r *rig) sender(t *testing.T, sender, alias string) string {
	t.Helper()
	s, err := r.Sender(sender, alias)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReturn(t *testing.T) {
	r, ctx := newRig(t, Options{}), t.Context()
	if s := r.sender(t, "", "friend@example.test"); s != "" {
		t.Errorf("nobody became %q", s)
	}
	s := r.sender(t, "bob@there.test", "friend@example.test")
	if !strings.HasSuffix(s, "@example.test") || strings.Contains(s, "bob@there") {
		t.Errorf("%q", s)
	}
	for _, address := range []string{s, strings.ToLower(s), strings.Replace(s, "@example", "@Example", 1), strings.Replace(s, "@example.", "@also.", 1)} {
		to, is, err := r.Return(ctx, address)
		if !is || err != nil || len(to) != 1 || to[0] != (directory.Recipient{Remote: "bob@there.test"}) {
			t.Errorf("%s: %v %v %v", address, to, is, err)
		}
	}
	// A stranger has sent in alice's name.
	to, is, err := r.Return(ctx, r.sender(t, "alice@example.test", "@also.test"))
	if !is || err != nil || len(to) != 1 || to[0].Account.Address != "alice@example.test" {
		t.Errorf("%v %v %v", to, is, err)
	}
	for _, address := range []string{"alice@example.test", "srs0@example.test", "postmaster", "@", ""} {
		if to, is, err := r.Return(ctx, address); is && !errors.Is(err, directory.ErrNoAccount) {
			t.Errorf("%q: %v %v %v", address, to, is, err)
		}
	}
	if _, is, _ := r.Return(ctx, strings.Replace(s, "@example.test", "@stranger.test", 1)); is {
		t.Error("an address of another domain is ours")
	}
	if _, is, err := r.Return(ctx, strings.Replace(s, "=bob", "=eve", 1)); !is || !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("forged: %v %v", is, err)
	}
	r.now = r.now.Add(60 * 24 * time.Hour)
	if _, is, err := r.Return(ctx, s); !is || !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("after two months: %v %v", is, err)
	}
}

// TestSecret: what left before a restart comes back after it; another server's does not.
func TestSecret(t *testing.T) {
	r, other := newRig(t, Options{}), newRig(t, Options{})
	s := r.sender(t, "bob@there.test", "friend@example.test")
	again, err := New(t.Context(), r.db, Options{Directory: r.dir, Now: r.o.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, is, err := again.Return(t.Context(), s); !is || err != nil {
		t.Errorf("after a restart: %v %v", is, err)
	}
	if _, is, err := other.Return(t.Context(), s); !is || !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("of another server: %v %v", is, err)
	}
	for _, text := range []string{"", "00", strings.Repeat("zz", secretSize)} {
		if _, err := r.db.ExecContext(t.Context(), `UPDATE forward_secret SET secret = $1`, text); err != nil {
			t.Fatal(err)
		}
		if _, err := New(t.Context(), r.db, Options{}); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSenders: what is written to a return address goes where it stands for, all else
// where the directory says.
func TestSenders(t *testing.T) {
	r := newRig(t, Options{})
	for address, want := range map[string]string{
		r.sender(t, "bob@there.test", "friend@example.test"): "bob@there.test",
		"friend@example.test":                                "friend@elsewhere.test",
		"alice@example.test":                                 "",
	} {
		to, err := Senders{r.Forwarder}.Resolve(t.Context(), address)
		if err != nil || len(to) != 1 || to[0].Remote != want {
			t.Errorf("%s: %v %v", address, to, err)
		}
	}
	if _, err := (Senders{r.Forwarder}).Resolve(t.Context(), "x@stranger.test"); !errors.Is(err, directory.ErrNoDomain) {
		t.Error(err)
	}
}

// keys answers for one key.
type keys struct{ key *rsa.PrivateKey }

func (k keys) LookupTXT(_ context.Context, name string) ([]string, error) {
	if name != "sel._domainkey.example.test" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	der, err := x509.MarshalPKIXPublicKey(&k.key.PublicKey)
	return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)}, err
}

const letter = "From: bob@there.test\r\nTo: friend@example.test\r\nSubject: hello\r\n\r\ntext\r\n"

// TestSeal: others can verify what is put on top of a message, above further trace fields.
func TestSeal(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var fault error
	r := newRig(t, Options{SealKey: func(_ context.Context, domain string) (string, crypto.Signer, error) {
		if domain != "example.test" {
			return "", nil, fault
		}
		return "sel", key, nil
	}})
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(letter)), nil }
	v := policy.Verdict{Results: "mx.example.test; spf=pass", Chain: arc.Chain{Result: mailauth.None}}
	header := r.Seal(t.Context(), "friend@example.test", v, open)
	c, err := arc.Verify(t.Context(), keys{key}, strings.NewReader(string(header)+"Received: by mx\r\nDelivered-To: friend@example.test\r\n"+letter))
	if err != nil || c.Result != mailauth.Pass || c.Sets[0].Domain != "example.test" || !strings.Contains(c.Sets[0].Results, "spf=pass") {
		t.Fatalf("%+v %v\n%s", c, err, header)
	}
	// The next server's set follows.
	sealed := string(header) + letter
	v.Chain = c
	header = r.Seal(t.Context(), "friend@example.test", v, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(sealed)), nil })
	if c, err = arc.Verify(t.Context(), keys{key}, strings.NewReader(string(header)+sealed)); err != nil || c.Result != mailauth.Pass || len(c.Sets) != 2 {
		t.Errorf("%+v %v\n%s", c, err, header)
	}
	v.Chain = arc.Chain{Result: mailauth.None}
	if h := r.Seal(t.Context(), "friend@example.test", policy.Verdict{}, open); h != nil {
		t.Errorf("without a verdict: %s", h)
	}
	if h := r.Seal(t.Context(), "friend@keyless.test", v, open); h != nil || r.log.Len() > 0 {
		t.Errorf("without a key: %s %s", h, &r.log)
	}
	fault = errors.New("on fire")
	if h := r.Seal(t.Context(), "friend@keyless.test", v, open); h != nil || !strings.Contains(r.log.String(), "on fire") {
		t.Errorf("with a fault: %s %s", h, &r.log)
	}
	broken := func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	if h := r.Seal(t.Context(), "friend@example.test", v, broken); h != nil || !strings.Contains(r.log.String(), "gone") {
		t.Errorf("of what can't be read: %s %s", h, &r.log)
	}
	if h := (newRig(t, Options{})).Seal(t.Context(), "friend@example.test", v, open); h != nil {
		t.Errorf("without keys: %s", h)
	}
}
