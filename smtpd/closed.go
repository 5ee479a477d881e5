package smtpd

import "kurir/internal/directory"

// putOff notes one behind the recipient whose mail has to wait, because the account is
// closed for mail or the domain is, and says why. Where others behind the same address take
// the message, an account's copy waits in the queue; what would be passed on elsewhere does
// not go.
func (r *recipient) putOff(one directory.Recipient) error {
	err := &directory.DeferredError{Address: one.Account.Address, Message: one.Message}
	if one.Remote != "" {
		err.Address = one.Remote
		return err
	}
	if r.closed == nil {
		r.closed = map[string]error{}
	}
	r.closed[one.Account.Address] = err
	r.accounts = append(r.accounts, one.Account.Address)
	return err
}

// wait takes note of those behind a recipient that was accepted whose mail has to wait. One
// that was refused says nothing of its accounts: other addresses of theirs may be open.
func (s *session) wait(r recipient) {
	for a, err := range r.closed {
		if s.closed == nil {
			s.closed = map[string]error{}
		}
		s.closed[a] = err
	}
}

// openTargets parts the mailboxes that get the message now from those that have to wait.
func (s *session) openTargets() (open []Target, waiting []Failure) {
	if len(s.closed) == 0 {
		return s.targets, nil
	}
	for _, t := range s.targets {
		if err := s.closed[t.Address]; err != nil {
			waiting = append(waiting, Failure{t, err})
			continue
		}
		open = append(open, t)
	}
	return open, waiting
}
