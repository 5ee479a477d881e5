// Package signing owns the DKIM keys of the domains here: it makes them, keeps them in SQL
// tables that it registers with sqldb (Migrations), signs messages with them (RFC 6376,
// RFC 8301, RFC 8463) and rotates them.
//
// A domain has two keys at a time that sign, Ed25519 and RSA with 2048 bits, as some
// receivers know only one of them. A key goes through four states:
//
//	pending   made by Rotate; its record is to be published, and Run looks for it in the DNS
//	active    signs; the first keys of a domain are so from the start
//	retiring  signs no more; its record stays for what is still on its way
//	retired   its time is over and its private half is gone; the record may be removed
//
// A pending key takes the place of the active one of its algorithm when the DNS shows its
// record. A retired one is forgotten when the DNS shows its record no more.
//
// Keys are kept in memory from first use to the next change made through this Signer, so one
// process at a time may change the table; kurir makes sure of that with the lock on its data
// directory. No message costs a query.
package signing

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/sqldb"
)

// ErrNoKey: the domain has no key of the kind that is needed.
var ErrNoKey = errors.New("the domain has no DKIM keys")

// rsaBits is the length of RSA keys. Longer ones do not fit into one string of a TXT
// record, and are not needed (RFC 8301 section 3.2).
const rsaBits = 2048

// DNS is what is asked for the records of keys; errors are *net.DNSError, with IsNotFound
// where there is no such record. *net.Resolver is one.
type DNS interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Options of a Signer. The zero value of each is its documented default.
type Options struct {
	DNS DNS // nil: no record is ever seen, and pending keys stay so
	// Domains lists the domains that are to have keys, in A-labels, for Run; nil: those that
	// have some.
	Domains func(context.Context) ([]string, error)
	// Retire is how long the record of a key stays after its last signature; zero means 7
	// days. It is to be longer than a message may wait in the queue.
	Retire time.Duration
	// RSA makes a key; zero means rsa.GenerateKey with 2048 bits.
	RSA func() (*rsa.PrivateKey, error)
	Now func() time.Time // zero means time.Now
	Log *slog.Logger     // zero means slog.Default
}

// Signer has the keys. Its methods may be called from any goroutine.
type Signer struct {
	db   *sqldb.DB
	o    Options
	keys atomic.Pointer[keyring] // nil: to be read
	wake chan struct{}

	retire atomic.Int64 // Options.Retire as it is now, in nanoseconds

	making sync.Mutex // held while keys are made or change their state
	parsed []*Key     // as they were last read, guarded by making; a row's private half never becomes another

	mu    sync.Mutex
	looks map[int64]look // by key, of those that Run looks for in the DNS
}

// New returns the signer of the keys in db, which was opened with Migrations.
func New(db *sqldb.DB, o Options) *Signer {
	if o.Retire == 0 {
		o.Retire = 7 * 24 * time.Hour
	}
	if o.RSA == nil {
		o.RSA = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Signer{db: db, o: o, wake: make(chan struct{}, 1), looks: map[int64]look{}}
	s.SetRetire(o.Retire)
	return s
}

// SetRetire changes Options.Retire, also while the Signer is used.
func (s *Signer) SetRetire(d time.Duration) { s.retire.Store(int64(d)) }

// SealKey returns the key that ARC seals of the domain are made with, and its selector: the
// active RSA key, as RFC 8617 section 4.1.3 knows no other algorithm. Errors: ErrNoKey, those of the
// database.
func (s *Signer) SealKey(ctx context.Context, domain string) (selector string, key crypto.Signer, err error) {
	ring, err := s.ring(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, k := range ring.active[canonical(domain)] {
		if k.Algorithm != RSA {
			continue
		}
		if k.private == nil {
			return "", nil, k.damage
		}
		return k.Selector, k.private, nil
	}
	return "", nil, ErrNoKey
}
