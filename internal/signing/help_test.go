package signing

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"kurir/internal/sqldb"
)

// zone is a DNS of TXT records.
type zone struct {
	mu    sync.Mutex
	texts map[string][]string
	err   error
	asked int
}

func (z *zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked++
	if z.err != nil {
		return nil, z.err
	}
	if texts, ok := z.texts[name]; ok {
		return texts, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// publish puts the records of keys into the zone.
func (z *zone) publish(keys ...Key) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, k := range keys {
		z.texts[k.Name()] = []string{k.Record().Value}
	}
}

// put has a name have these texts, or none.
func (z *zone) put(name string, texts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if delete(z.texts, name); len(texts) > 0 {
		z.texts[name] = texts
	}
}

// fail has all questions fail, until fail(nil).
func (z *zone) fail(err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.err = err
}

// questions is how many there were.
func (z *zone) questions() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

// testRSA makes keys fast: there are some, which come in turn.
func testRSA() func() (*rsa.PrivateKey, error) {
	n := 0
	return func() (*rsa.PrivateKey, error) {
		n++
		return someKeys()[n%3], nil
	}
}

var someKeys = sync.OnceValue(func() (keys []*rsa.PrivateKey) {
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
})

// rig is a Signer over a database and a zone.
type rig struct {
	*Signer
	t    testing.TB
	zone *zone
	db   *sqldb.DB
}

func newRig(t testing.TB, options ...func(*Options)) *rig {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	z := &zone{texts: map[string][]string{}}
	o := Options{DNS: z, RSA: testRSA(), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	for _, f := range options {
		f(&o)
	}
	return &rig{Signer: New(db, o), t: t, zone: z, db: db}
}

// make makes keys and returns them.
func (r *rig) make(domain string) []Key {
	r.t.Helper()
	if err := r.Make(r.t.Context(), domain); err != nil {
		r.t.Fatal(err)
	}
	return r.list(domain)
}

func (r *rig) list(domain string) []Key {
	r.t.Helper()
	keys, err := r.Keys(context.Background(), domain)
	if err != nil {
		r.t.Fatal(err)
	}
	return keys
}

// states are the keys of a domain in words, by age.
func (r *rig) states(domain string) string {
	r.t.Helper()
	var all []string
	for _, k := range r.list(domain) {
		all = append(all, k.Algorithm+" "+k.State)
	}
	return strings.Join(all, ", ")
}

func (r *rig) sign(domain, msg string) string {
	r.t.Helper()
	header, err := r.Sign(context.Background(), domain, strings.NewReader(msg))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(header)
}

// verify checks all signatures of a message and returns one for each that is good, as
// "domain", and an error for the first that is not.
func (r *rig) verify(msg string) ([]string, error) {
	all, err := dkim.VerifyWithOptions(strings.NewReader(msg), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return r.zone.LookupTXT(context.Background(), name) },
	})
	var domains []string
	for _, v := range all {
		if v.Err != nil {
			err = errors.Join(err, v.Err)
			continue
		}
		domains = append(domains, v.Domain)
	}
	return domains, err
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const letter = "From: Alice <alice@example.org>\nTo: bob@example.net\nSubject: Lunch\nDate: Fri, 20 Nov 2026 12:00:00 +0000\nMessage-ID: <1@example.org>\n\nAt  noon? \n\n\n"
