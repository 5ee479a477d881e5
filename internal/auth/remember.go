package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"sync"
	"time"

	"kurir/internal/directory"
)

// maxRemembered bounds the good passwords in memory, about 200 bytes each.
const maxRemembered = 1 << 16

// remembered holds, by credential id, the HMAC of a password that was found good.
type remembered struct {
	ttl     time.Duration
	mu      sync.Mutex
	entries *lru[int64, memory]
}

type memory struct {
	mac     [sha256.Size]byte // of credential id, verifier and password: another verifier is another mac
	address string            // whose credential it is
	until   time.Time
}

func (r *remembered) put(credential int64, m memory) {
	if r.ttl < 0 {
		return
	}
	m.until = time.Now().Add(r.ttl)
	r.mu.Lock()
	*r.entries.need(credential) = m
	r.mu.Unlock()
}

func (r *remembered) get(credential int64) (mac [sha256.Size]byte, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.entries.get(credential)
	if m == nil {
		return mac, false
	}
	if !time.Now().Before(m.until) {
		r.entries.remove(credential)
		return mac, false
	}
	return m.mac, true
}

func (r *remembered) forget(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries.removeIf(func(_ int64, m *memory) bool { return m.address == address })
}

// recall finds a credential that the password was found good for not long ago. The
// credentials are as the directory has them now, so one that was changed or removed
// is not found. nil: there is none.
func (a *Authenticator) recall(protocol, password string, creds []directory.Credential) *directory.Credential {
	for i := range creds {
		c := &creds[i]
		if mac, ok := a.remember.get(c.ID); ok && a.allows(c, protocol) {
			if now := a.mac(c, password); hmac.Equal(now[:], mac[:]) {
				return c
			}
		}
	}
	return nil
}

func (a *Authenticator) mac(c *directory.Credential, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, a.key)
	writeCredential(h, c)
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

// digest stands for one password tried on one account as its credentials are now.
func (a *Authenticator) digest(account, password string, creds []directory.Credential) (sum digest) {
	h := hmac.New(sha256.New, a.key)
	writeString(h, account)
	writeString(h, password)
	for i := range creds {
		writeCredential(h, &creds[i])
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

func writeCredential(h hash.Hash, c *directory.Credential) {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(c.ID))
	h.Write(id[:])
	writeString(h, c.Verifier)
}

// writeString puts the length first, so that no two lists of strings read the same.
func writeString(h hash.Hash, s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	h.Write(n[:])
	h.Write([]byte(s))
}

// Run writes the last uses of credentials once a minute, and what is left when ctx
// ends; then it returns. A failure is logged and made good the next time.
func (a *Authenticator) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.noteUses(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			a.noteUses(last)
			return
		}
	}
}

// noteUses writes in parts, so that other writers get their turn in between.
func (a *Authenticator) noteUses(ctx context.Context) {
	a.usedMu.Lock()
	used := a.used
	a.used = map[int64]directory.Use{}
	a.usedMu.Unlock()
	var errs []error
	part := map[int64]directory.Use{}
	write := func() {
		if err := a.dir.Touch(ctx, part); err != nil {
			errs = append(errs, err)
			a.keepUses(part)
		}
		part = map[int64]directory.Use{}
	}
	for id, t := range used {
		if part[id] = t; len(part) == 500 {
			write()
		}
	}
	if len(part) > 0 {
		write()
	}
	if err := errors.Join(errs...); err != nil {
		a.log.Error("last uses of passwords could not be noted", "error", err)
	}
}

// keepUses puts back what could not be written, unless there is news.
func (a *Authenticator) keepUses(part map[int64]directory.Use) {
	a.usedMu.Lock()
	defer a.usedMu.Unlock()
	for id, t := range part {
		if a.used[id].At.Before(t.At) {
			a.used[id] = t
		}
	}
}
