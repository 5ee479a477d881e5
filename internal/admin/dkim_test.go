package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/internal/signing"
	"kurir/internal/sqldb"
)

// texts is a DNS of TXT records.
type texts map[string]string

func (z texts) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if t, ok := z[name]; ok {
		return []string{t}, nil
	}
	if strings.Contains(name, "slow.test") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// withSigning gives a world keys, with a clock that can be set.
func withSigning(t *testing.T) (w *world, zone texts, now *time.Time) {
	w, zone = newWorld(t), texts{}
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "keys.db"), signing.Migrations)
	w.ok(err)
	t.Cleanup(func() { db.Close() })
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	w.Signing = signing.New(db, signing.Options{DNS: zone, Now: func() time.Time { return at }, Log: slog.New(slog.DiscardHandler)})
	return w, zone, &at
}

func (w *world) dkim(domain string) []DKIMKey {
	w.t.Helper()
	keys, err := w.ListDKIM(w.t.Context(), domain)
	w.ok(err)
	return keys
}

// TestKeysOfDomains: a domain has keys from its beginning to its end, and so has an alias.
func TestKeysOfDomains(t *testing.T) {
	w, _, _ := withSigning(t)
	ctx := t.Context()
	w.ok(w.AddDomain(ctx, "Own.test"))
	w.ok(w.AddDomainAlias(ctx, Domain{Name: "also.test", AliasOf: "own.test"}))
	if all := w.dkim(""); len(all) != 4 || all[0].Domain != "also.test" || all[2].Domain != "own.test" || all[2].Algorithm != "rsa" {
		t.Errorf("%+v", all)
	}
	if own := w.dkim("OWN.test"); len(own) != 2 || own[1].Name != "k20261122e._domainkey.own.test" || !strings.HasPrefix(own[1].Value, "v=DKIM1; k=ed25519; p=") {
		t.Errorf("%+v", own)
	}
	w.ok(w.RemoveDomainAlias(ctx, "also.test"))
	w.ok(w.RemoveDomain(ctx, "own.test"))
	if all := w.dkim(""); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	_, err := w.ListDKIM(ctx, "own.test")
	w.fails(err, directory.ErrNoDomain, "own.test", "kurir domain list")
	_, err = w.RotateDKIM(ctx, RotateDKIM{Domain: "own.test"})
	w.fails(err, directory.ErrNoDomain, "own.test")
	_, err = w.RotateDKIM(ctx, RotateDKIM{Domain: "a b"})
	w.fails(err, directory.ErrInvalidAddress)
	// A domain from before there were keys.
	r, err := w.RotateDKIM(ctx, RotateDKIM{Domain: "example.test"})
	w.ok(err)
	if !r.Made || len(r.Keys) != 2 || r.Keys[0].State != "active" {
		t.Errorf("%+v", r)
	}
}

// TestKeysThatCannotBeMade: the domain is there all the same, and it is said what to do.
func TestKeysThatCannotBeMade(t *testing.T) {
	w, _, _ := withSigning(t)
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "other.db"), signing.Migrations)
	w.ok(err)
	w.Signing = signing.New(db, signing.Options{})
	w.ok(db.Close())
	if err = w.AddDomain(t.Context(), "own.test"); err == nil || !strings.Contains(err.Error(), "kurir dkim rotate own.test") {
		t.Error(err)
	}
	if ok, err := w.Directory.IsLocalDomain(t.Context(), "own.test"); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, err := w.ListDKIM(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	if _, err := w.RotateDKIM(t.Context(), RotateDKIM{Domain: "own.test"}); err == nil {
		t.Error("no error")
	}
	w.Signing = nil
	w.ok(w.AddDomain(t.Context(), "without.test"))
	for _, err := range []error{
		func() error { _, err := w.ListDKIM(t.Context(), ""); return err }(),
		func() error { _, err := w.RotateDKIM(t.Context(), RotateDKIM{Domain: "own.test"}); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "kurir local") {
			t.Error(err)
		}
	}
}

// TestNextSteps: what the list says there is to do, from the first key to the last.
func TestNextSteps(t *testing.T) {
	w, zone, now := withSigning(t)
	w.ok(w.AddDomain(t.Context(), "own.test"))
	expect := func(n int, state, dns, next string) {
		t.Helper()
		k := w.dkim("own.test")[n]
		if k.State != state || k.DNS != dns || !strings.HasPrefix(k.Next, next) || next == "" && k.Next != "" {
			t.Errorf("key %d is %s, %s, %q", n, k.State, k.DNS, k.Next)
		}
	}
	publish := func(n int) { k := w.dkim("own.test")[n]; zone[k.Name] = k.Value }
	expect(0, "active", "missing", "publish the record: without it")
	zone[w.dkim("own.test")[0].Name] = "v=DKIM1; p="
	expect(0, "active", "differs", "correct the record: its p= is empty")
	publish(0)
	publish(1)
	expect(0, "active", "published", "")
	_, err := w.RotateDKIM(t.Context(), RotateDKIM{Domain: "own.test"})
	w.ok(err)
	expect(2, "pending", "missing", "publish the record; the server signs with it when")
	zone[w.dkim("own.test")[2].Name] = "v=spf1"
	expect(2, "pending", "differs", "correct the record: the TXT record is none")
	publish(2)
	expect(2, "pending", "published", "signs soon")
	_, err = w.RotateDKIM(t.Context(), RotateDKIM{Domain: "own.test", Now: true})
	w.ok(err)
	expect(0, "retiring", "published", "leave the record until 2026-11-29")
	k := w.dkim("own.test")[0]
	if !k.Ends.Equal(now.Add(7 * 24 * time.Hour)) {
		t.Errorf("%v", k.Ends)
	}
	delete(zone, k.Name)
	expect(0, "retiring", "missing", "the record was needed until 2026-11-29")
	zone[k.Name] = k.Value
	*now = now.Add(8 * 24 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Signing.Run(ctx) }()
	for range 500 {
		if w.dkim("own.test")[0].State == "retired" && w.dkim("own.test")[1].State == "retired" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
	expect(0, "retired", "published", "remove the record")
	delete(zone, k.Name)
	expect(0, "retired", "missing", "nothing: the record is gone")
}

// TestSlowDNS: a DNS that does not answer does not keep the list.
func TestSlowDNS(t *testing.T) {
	w, _, _ := withSigning(t)
	w.ok(w.AddDomain(t.Context(), "slow.test"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	keys, err := w.ListDKIM(ctx, "slow.test")
	if err != nil || len(keys) != 2 || keys[0].DNS != "unknown" || keys[0].Problem == "" {
		t.Errorf("%+v %v", keys, err)
	}
}

// TestKeysAfterACrash: a domain whose keys were not made any more gets them when it is added again.
func TestKeysAfterACrash(t *testing.T) {
	w, _, _ := withSigning(t)
	_, err := w.Directory.AddDomain(t.Context(), "own.test")
	w.ok(err)
	if keys := w.dkim("own.test"); len(keys) != 0 {
		t.Fatalf("%+v", keys)
	}
	for range 2 {
		if err := w.AddDomain(t.Context(), "own.test"); !errors.Is(err, directory.ErrExists) {
			t.Errorf("%v", err)
		}
		if keys := w.dkim("own.test"); len(keys) != 2 {
			t.Errorf("%+v", keys)
		}
	}
}
