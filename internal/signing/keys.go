package signing

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kurir/internal/directory"
)

// Algorithms of keys, as k= of a record has them.
const (
	RSA     = "rsa"
	Ed25519 = "ed25519" // RFC 8463
)

// States of keys; see the package comment.
const (
	Pending  = "pending"
	Active   = "active"
	Retiring = "retiring"
	Retired  = "retired"
)

// Key is one key of a domain, without its private half.
type Key struct {
	Domain    string // in A-labels
	Selector  string
	Algorithm string // RSA or Ed25519
	State     string
	Created   time.Time
	Since     time.Time // when it came into its state

	id      int64
	public  string        // p= of the record
	private crypto.Signer // nil for retired keys and damaged ones
	damage  error         // why private can't be read
}

// keyring is what is known of all keys; never changed after it was read.
type keyring struct {
	all    []*Key            // by domain and age
	active map[string][]*Key // by domain; RSA first
}

// ring returns the keys, from memory if they are there.
func (s *Signer) ring(ctx context.Context) (*keyring, error) {
	if r := s.keys.Load(); r != nil {
		return r, nil
	}
	s.making.Lock() // so that no change is missed by what is kept
	defer s.making.Unlock()
	return s.read(ctx)
}

// read is ring for who holds making.
func (s *Signer) read(ctx context.Context) (*keyring, error) {
	if r := s.keys.Load(); r != nil {
		return r, nil
	}
	rows, err := s.db.QueryContext(ctx, `SELECT id, domain, selector, algorithm, private, public, state, created, since
		FROM dkim_keys ORDER BY domain, id`)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	defer rows.Close()
	r := &keyring{active: map[string][]*Key{}}
	parsed := map[int64]crypto.Signer{} // which takes long with a thousand domains
	for _, k := range s.parsed {
		parsed[k.id] = k.private
	}
	for rows.Next() {
		var k Key
		var private string
		var created, since int64
		if err := rows.Scan(&k.id, &k.Domain, &k.Selector, &k.Algorithm, &private, &k.public, &k.State, &created, &since); err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		k.Created, k.Since = time.Unix(created, 0).UTC(), time.Unix(since, 0).UTC()
		if k.private = parsed[k.id]; k.State == Retired {
			k.private = nil
		} else if k.private == nil {
			k.private, k.damage = parsePrivate(private)
			if k.damage != nil {
				k.damage = fmt.Errorf("signing: the private key of %s cannot be read, new ones are made by \"kurir dkim rotate %s --now\": %w", k.Name(), k.Domain, k.damage)
			}
		}
		r.all = append(r.all, &k)
		if k.State == Active {
			r.active[k.Domain] = append(r.active[k.Domain], &k)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	for _, keys := range r.active { // who looks at one signature only, looks at that which he knows
		slices.SortStableFunc(keys, func(a, b *Key) int { return -cmp.Compare(a.Algorithm, b.Algorithm) })
	}
	s.keys.Store(r)
	s.parsed = r.all
	return r, nil
}

func parsePrivate(text string) (crypto.Signer, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("a key of type %T", key)
}

// change runs fn in a transaction and, when that is durable, forgets what is in memory. The
// caller holds making.
func (s *Signer) change(ctx context.Context, fn func(tx *sql.Tx) error) error {
	err := s.db.Tx(ctx, fn)
	s.keys.Store(nil) // after an error, too: a commit whose answer was lost may have happened
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	s.poke()
	return nil
}

// Make gives a domain its first keys, which sign at once, and does nothing if it has some
// that sign. It returns once they would survive a power cut.
func (s *Signer) Make(ctx context.Context, domain string) error {
	s.making.Lock()
	defer s.making.Unlock()
	domain = canonical(domain)
	r, err := s.read(ctx)
	if err != nil {
		return err
	}
	if len(r.active[domain]) > 0 {
		return nil
	}
	if _, err = s.add(ctx, domain, Active); err == nil {
		s.o.Log.Info("DKIM keys made: publish their records (kurir dkim list)", "domain", domain)
	}
	return err
}

// Forget removes all keys of a domain.
func (s *Signer) Forget(ctx context.Context, domain string) error {
	s.making.Lock()
	defer s.making.Unlock()
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM dkim_keys WHERE domain = $1`, canonical(domain))
		return err
	})
}

// Keys returns the keys of a domain, or with "" of all domains, by domain and age.
func (s *Signer) Keys(ctx context.Context, domain string) ([]Key, error) {
	r, err := s.ring(ctx)
	if err != nil {
		return nil, err
	}
	domain = canonical(domain)
	var all []Key
	for _, k := range r.all {
		if domain == "" || k.Domain == domain {
			all = append(all, *k)
		}
	}
	return all, nil
}

// Damaged tells of keys that are to sign and cannot be read: no mail of their domains goes out.
func (s *Signer) Damaged(ctx context.Context) error {
	r, err := s.ring(ctx)
	if err != nil {
		return err
	}
	for _, k := range r.all {
		if k.State == Active && k.private == nil {
			return k.damage
		}
	}
	return nil
}

// add makes a key of each algorithm and writes them. The caller holds making.
func (s *Signer) add(ctx context.Context, domain, state string) ([]Key, error) {
	r, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, algorithm := range []string{RSA, Ed25519} {
		private, err := s.generate(algorithm)
		if err != nil {
			return nil, fmt.Errorf("signing: making a key: %w", err)
		}
		now := s.o.Now().Truncate(time.Second).UTC()
		k := Key{Domain: domain, Algorithm: algorithm, State: state, Created: now, Since: now, private: private}
		k.Selector = r.selector(domain, algorithm, now)
		if k.public, err = publicOf(private); err != nil {
			return nil, fmt.Errorf("signing: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, s.change(ctx, func(tx *sql.Tx) error {
		for _, k := range keys {
			der, err := x509.MarshalPKCS8PrivateKey(k.private)
			if err != nil {
				return err
			}
			const insert = `INSERT INTO dkim_keys (domain, selector, algorithm, private, public, state, created, since)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
			if _, err := tx.ExecContext(ctx, insert, k.Domain, k.Selector, k.Algorithm, base64.StdEncoding.EncodeToString(der), k.public,
				k.State, k.Created.Unix(), k.Since.Unix()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Signer) generate(algorithm string) (crypto.Signer, error) {
	if algorithm == RSA {
		return s.o.RSA()
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

// publicOf is p= of a key's record: for RSA a SubjectPublicKeyInfo, as all write and read
// it (RFC 6376 section 3.6.1 with its erratum 3017), for Ed25519 the key alone (RFC 8463 section 4.2).
func publicOf(private crypto.Signer) (string, error) {
	switch key := private.Public().(type) {
	case ed25519.PublicKey:
		return base64.StdEncoding.EncodeToString(key), nil
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		return base64.StdEncoding.EncodeToString(der), err
	}
	return "", errors.New("a key of unknown kind")
}

// selector names a new key: k, the day, the first letter of the algorithm, and a number from 2 if
// that name is taken.
func (r *keyring) selector(domain, algorithm string, day time.Time) string {
	base := "k" + day.Format("20060102") + algorithm[:1]
	name := base
	for n := 2; slices.ContainsFunc(r.all, func(k *Key) bool { return k.Domain == domain && k.Selector == name }); n++ {
		name = fmt.Sprintf("%s%d", base, n)
	}
	return name
}

// canonical is a domain as it is kept; a name that is none stays as it is, and has no keys.
func canonical(domain string) string {
	if name, err := directory.ParseDomain(domain); err == nil {
		return name
	}
	return strings.ToLower(domain)
}
