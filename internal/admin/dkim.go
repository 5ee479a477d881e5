package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kurir/internal/directory"
	"kurir/internal/signing"
)

// DKIMKey is one key by which a domain's mail is signed.
type DKIMKey struct {
	Domain    string    `json:"domain"`
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"` // "rsa" or "ed25519"
	State     string    `json:"state"`     // "pending", "active", "retiring" or "retired"
	Since     time.Time `json:"since"`     // when it came into its state
	Created   time.Time `json:"created"`
	// Ends is when a retiring key's record may go.
	Ends  time.Time `json:"ends,omitzero"`
	Name  string    `json:"name"`  // of its TXT record
	Value string    `json:"value"` // what the record has to be
	// DNS is what the DNS shows: "published", "missing", "differs" or "unknown"; Problem has
	// words about the last two. "" where it was not asked.
	DNS     string `json:"dns,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Next is what the administrator has to do, or what happens next, in words.
	Next string `json:"next"`
}

// RotateDKIM asks for new keys.
type RotateDKIM struct {
	Domain string `json:"domain"`
	// Now has them sign at once, without waiting for the DNS.
	Now bool `json:"now,omitempty"`
}

// RotatedDKIM tells what came of it.
type RotatedDKIM struct {
	Keys []DKIMKey `json:"keys"` // the new ones
	// Made is false if new keys were waiting for the DNS already, which are these.
	Made bool `json:"made"`
}

// noSigning answers where there are no keys.
var noSigning = &invalid{"this server signs no mail: kurir local sends nothing to other domains"}

// Bounds of the questions to the DNS for one list.
const (
	dkimLookTime = 10 * time.Second
	dkimLooks    = 8 // at once
)

// ListDKIM implements Operations.
func (s *Service) ListDKIM(ctx context.Context, domain string) ([]DKIMKey, error) {
	if s.Signing == nil {
		return nil, noSigning
	}
	if domain != "" {
		name, err := s.keyDomain(ctx, domain)
		if err != nil {
			return nil, err
		}
		domain = name
	}
	keys, err := s.Signing.Keys(ctx, domain)
	if err != nil {
		return nil, err
	}
	all := make([]DKIMKey, len(keys))
	ctx, cancel := context.WithTimeout(ctx, dkimLookTime)
	defer cancel()
	var wg sync.WaitGroup
	slots := make(chan struct{}, dkimLooks)
	for i, k := range keys {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			all[i] = s.dkimKey(k)
			all[i].DNS, all[i].Problem = s.Signing.Look(ctx, k)
			all[i].Next = dkimNext(all[i])
		})
	}
	wg.Wait()
	return all, nil
}

// RotateDKIM implements Operations.
func (s *Service) RotateDKIM(ctx context.Context, r RotateDKIM) (RotatedDKIM, error) {
	if s.Signing == nil {
		return RotatedDKIM{}, noSigning
	}
	domain, err := s.keyDomain(ctx, r.Domain)
	if err != nil {
		return RotatedDKIM{}, err
	}
	keys, made, err := s.Signing.Rotate(ctx, domain, r.Now)
	if err != nil {
		return RotatedDKIM{}, err
	}
	answer := RotatedDKIM{Made: made}
	for _, k := range keys {
		d := s.dkimKey(k)
		d.Next = dkimNext(d)
		answer.Keys = append(answer.Keys, d)
	}
	return answer, nil
}

// keyDomain is the canonical name of a domain or domain alias here. Errors:
// directory.ErrNoDomain, directory.ErrInvalidAddress.
func (s *Service) keyDomain(ctx context.Context, name string) (string, error) {
	canonical, err := directory.ParseDomain(name)
	if err != nil {
		return "", err
	}
	ok, err := s.Directory.IsLocalDomain(ctx, canonical)
	if err == nil && !ok {
		err = &unknownDomain{canonical}
	}
	return canonical, err
}

// dkimKey is a key in the words of Operations.
func (s *Service) dkimKey(k signing.Key) DKIMKey {
	r := k.Record()
	d := DKIMKey{Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, State: k.State, Since: k.Since, Created: k.Created,
		Name: r.Name, Value: r.Value}
	if k.State == signing.Retiring {
		d.Ends = s.Signing.Ends(k)
	}
	return d
}

// dkimNext says what is to be done about a key, or what happens next.
func dkimNext(k DKIMKey) string {
	missing := k.DNS == signing.Missing
	switch k.State {
	case signing.Pending:
		switch k.DNS {
		case signing.Published:
			return "signs soon: the server has to see the record too"
		case signing.Differs:
			return "correct the record: " + k.Problem
		}
		return "publish the record; the server signs with it when the DNS shows it"
	case signing.Active:
		switch {
		case missing:
			return "publish the record: without it the signatures count for nothing"
		case k.DNS == signing.Differs:
			return "correct the record: " + k.Problem
		}
		return ""
	case signing.Retiring:
		if missing || k.DNS == signing.Differs {
			return "the record was needed until " + k.Ends.Format(time.DateOnly) + ", for mail on its way"
		}
		return "leave the record until " + k.Ends.Format(time.DateOnly)
	}
	if missing {
		return "nothing: the record is gone, and the key is forgotten within a day"
	}
	return "remove the record"
}

// makeKeys gives a domain that was just added its keys. They are made at the next start, too.
func (s *Service) makeKeys(ctx context.Context, name string) error {
	if s.Signing == nil {
		return nil
	}
	if err := s.Signing.Make(ctx, name); err != nil {
		return fmt.Errorf("%s was added, but its DKIM keys could not be made (make them with: kurir dkim rotate %s): %w", name, name, err)
	}
	return nil
}

// String is what the log says of a rotation.
func (r RotateDKIM) String() string {
	if r.Now {
		return r.Domain + ", at once"
	}
	return r.Domain
}

// ListDKIM implements Operations.
func (c *Client) ListDKIM(ctx context.Context, domain string) ([]DKIMKey, error) {
	return post[[]DKIMKey](ctx, c, "dkim.list", domain)
}

// RotateDKIM implements Operations.
func (c *Client) RotateDKIM(ctx context.Context, r RotateDKIM) (RotatedDKIM, error) {
	return post[RotatedDKIM](ctx, c, "dkim.rotate", r)
}
