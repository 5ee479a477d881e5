package signing

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Rotate makes new keys for a domain and returns them; they sign when the DNS shows their
// records, for which Run looks. If that is waited for already, no others are made: the keys
// that wait are returned, and made is false. A domain without keys gets its first.
//
// With now, the new keys sign at once, whatever the DNS shows here: for a key that has come
// into wrong hands, and where this server sees another DNS than the world. Errors are those
// of the database.
func (s *Signer) Rotate(ctx context.Context, domain string, now bool) (keys []Key, made bool, err error) {
	s.making.Lock()
	defer s.making.Unlock()
	domain = canonical(domain)
	r, err := s.read(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, k := range r.all {
		if k.Domain == domain && k.State == Pending {
			keys = append(keys, *k)
		}
	}
	if made = len(keys) == 0; made {
		state := Pending
		if len(r.active[domain]) == 0 {
			state = Active
		}
		if keys, err = s.add(ctx, domain, state); err != nil {
			return nil, false, err
		}
		if state == Active {
			return keys, made, nil
		}
	}
	if now {
		for i := range keys {
			if err := s.activate(ctx, keys[i]); err != nil {
				return nil, made, err
			}
			keys[i].State = Active
		}
	}
	return keys, made, nil
}

// Ends is when the record of a retiring key may be removed.
func (s *Signer) Ends(k Key) time.Time { return k.Since.Add(time.Duration(s.retire.Load())) }

// activate lets a pending key sign in the place of the active one of its algorithm. The
// caller holds making.
func (s *Signer) activate(ctx context.Context, k Key) error {
	at := s.o.Now().Unix()
	return s.change(ctx, func(tx *sql.Tx) error {
		const begin = `UPDATE dkim_keys SET state = $1, since = $2 WHERE domain = $3 AND selector = $4 AND state = $5`
		r, err := tx.ExecContext(ctx, begin, Active, at, k.Domain, k.Selector, Pending)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 { // it is gone, or was activated meanwhile
			return err
		}
		const retire = `UPDATE dkim_keys SET state = $1, since = $2 WHERE domain = $3 AND algorithm = $4 AND state = $5 AND selector <> $6`
		_, err = tx.ExecContext(ctx, retire, Retiring, at, k.Domain, k.Algorithm, Active, k.Selector)
		return err
	})
}

// Times of Run.
const (
	lookFirst  = time.Minute // between the first looks for a record; it doubles each time
	lookMost   = time.Hour
	lookTime   = 30 * time.Second // for one answer of the DNS
	lookGone   = 24 * time.Hour   // between looks whether a retired key's record is gone
	forgetTime = 90 * 24 * time.Hour
	idle       = time.Hour // between two rounds without anything to do
)

// look is when a key's record is looked for next.
type look struct {
	next time.Time
	wait time.Duration
}

// Run gives keys to the domains that have none, looks for the records of pending keys, and
// ends the time of those that signed before. It returns when ctx is done.
func (s *Signer) Run(ctx context.Context) {
	for {
		next := s.step(ctx)
		t := time.NewTimer(max(time.Second, next.Sub(s.o.Now())))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// poke lets Run look again.
func (s *Signer) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// step does what is due and says when to come again.
func (s *Signer) step(ctx context.Context) time.Time {
	next := s.o.Now().Add(idle)
	if err := s.MakeMissing(ctx); err != nil && ctx.Err() == nil {
		s.o.Log.Error("DKIM keys of a domain could not be made", "error", err)
		next = s.o.Now().Add(lookFirst)
	}
	keys, err := s.Keys(ctx, "")
	if err != nil {
		if ctx.Err() == nil {
			s.o.Log.Error("DKIM keys cannot be read", "error", err)
		}
		return s.o.Now().Add(lookFirst)
	}
	s.forgetLooks(keys)
	for _, k := range keys {
		due, err := s.stepKey(ctx, k)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Error("state of a DKIM key could not be changed", "domain", k.Domain, "selector", k.Selector, "error", err)
			due = s.o.Now().Add(lookFirst)
		}
		if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	return next
}

// MakeMissing gives keys to the domains that are to have some and have none, and forgets
// those of domains that are gone.
func (s *Signer) MakeMissing(ctx context.Context) error {
	if s.o.Domains == nil {
		return nil
	}
	keys, err := s.Keys(ctx, "") // before the domains: what is made meanwhile is not seen as left over
	if err != nil {
		return err
	}
	domains, err := s.o.Domains(ctx)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if ctx.Err() != nil { // making one takes a while
			return ctx.Err()
		}
		if err := s.Make(ctx, d); err != nil { // which the others would meet as well
			return err
		}
	}
	var errs []error
	gone := ""
	for _, k := range keys {
		if k.Domain != gone && !slices.Contains(domains, k.Domain) {
			gone = k.Domain
			errs = append(errs, s.Forget(ctx, gone))
		}
	}
	return errors.Join(errs...)
}

// forgetLooks drops what is remembered of keys that are gone.
func (s *Signer) forgetLooks(keys []Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.looks {
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.id == id }) {
			delete(s.looks, id)
		}
	}
}

// stepKey does what is due for one key and says when something is again; zero: nothing is.
func (s *Signer) stepKey(ctx context.Context, k Key) (time.Time, error) {
	log := s.o.Log.With("domain", k.Domain, "selector", k.Selector)
	switch k.State {
	case Pending:
		return s.stepPending(ctx, k)
	case Retiring:
		over := s.Ends(k)
		if s.o.Now().Before(over) {
			return over, nil
		}
		log.Info("DKIM key is retired: its record may be removed from the DNS", "record", k.Name())
		return s.o.Now().Add(lookGone), s.set(ctx, k, `UPDATE dkim_keys SET state = $2, since = $3, private = '' WHERE id = $1`, Retired, s.o.Now().Unix())
	case Retired:
		due, yes := s.dueLook(k, lookGone, lookGone)
		if !yes {
			return due, nil
		}
		if state, _ := s.lookFor(ctx, k); state == Missing || s.o.Now().Sub(k.Since) > forgetTime {
			log.Info("DKIM key is forgotten: its record is gone from the DNS, or its time is long over")
			return time.Time{}, s.set(ctx, k, `DELETE FROM dkim_keys WHERE id = $1`)
		}
		return due, nil
	}
	return time.Time{}, nil
}

// stepPending looks for the record of a key that waits for it.
func (s *Signer) stepPending(ctx context.Context, k Key) (time.Time, error) {
	due, yes := s.dueLook(k, lookFirst, lookMost)
	if !yes {
		return due, nil
	}
	log := s.o.Log.With("domain", k.Domain, "selector", k.Selector)
	switch state, why := s.lookFor(ctx, k); state {
	case Published:
	case Differs:
		log.Warn("the DNS has another record than that of the new DKIM key", "record", k.Name(), "problem", why, "next", due)
		return due, nil
	default:
		log.Debug("the DNS does not show the new DKIM key yet", "record", k.Name(), "state", state, "problem", why, "next", due)
		return due, nil
	}
	s.making.Lock()
	defer s.making.Unlock()
	if err := s.activate(ctx, k); err != nil {
		return due, err
	}
	log.Info("new DKIM key is published and signs from now on", "algorithm", k.Algorithm)
	return time.Time{}, nil
}

// lookFor is Look within its time.
func (s *Signer) lookFor(ctx context.Context, k Key) (state, why string) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return s.Look(ctx, k)
}

// dueLook tells whether a key's record is to be looked for now, and when next.
func (s *Signer) dueLook(k Key, first, most time.Duration) (next time.Time, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	l := s.looks[k.id]
	if now.Before(l.next) && l.next.Sub(now) <= most { // else the clock was set back
		return l.next, false
	}
	l.wait = min(max(first, 2*l.wait), most)
	l.next = now.Add(l.wait)
	s.looks[k.id] = l
	return l.next, true
}

// set changes the row of one key.
func (s *Signer) set(ctx context.Context, k Key, query string, args ...any) error {
	s.making.Lock()
	defer s.making.Unlock()
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, append([]any{k.id}, args...)...)
		if err != nil {
			return fmt.Errorf("%s: %w", k.Name(), err)
		}
		return nil
	})
}
