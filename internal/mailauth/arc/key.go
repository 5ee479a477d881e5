package arc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"kurir/internal/mailauth/sig"
)

// temporaryError says that the DNS did not tell, this time.
type temporaryError struct{ err error }

func (e *temporaryError) Error() string { return e.err.Error() }
func (e *temporaryError) Unwrap() error { return e.err }

// keyring asks for the records of each name once, and reads them once for each algorithm.
type keyring struct {
	resolver TXTResolver
	asked    map[string]answer
	known    map[[2]string]foundKey // by name and algorithm
}

type answer struct {
	records []string
	err     error
}

type foundKey struct {
	key sig.Key
	err error
}

// verify checks the signature of digest; changed says in words what it means when a good
// key does not fit. Possible errors: *temporaryError, and all others for good.
func (k *keyring) verify(ctx context.Context, s *signature, digest []byte, changed string) error {
	name := s.selector + "._domainkey." + s.domain
	algorithm, _, _ := strings.Cut(s.algorithm, "-")
	f, ok := k.known[[2]string{name, algorithm}]
	if !ok {
		f.key, f.err = k.find(ctx, name, algorithm)
		if k.known == nil {
			k.known = map[[2]string]foundKey{}
		}
		k.known[[2]string{name, algorithm}] = f
	}
	if f.err == nil && !f.key.Verify(digest, s.sig) {
		return errors.New(changed)
	}
	return f.err
}

// find reads the key at name (RFC 6376 section 3.6.2).
func (k *keyring) find(ctx context.Context, name, algorithm string) (sig.Key, error) {
	records, err := k.ask(ctx, name)
	if err != nil {
		return sig.Key{}, err
	}
	key, err := sig.FindKey(records, algorithm)
	if err != nil {
		return sig.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	return key, nil
}

func (k *keyring) ask(ctx context.Context, name string) ([]string, error) {
	if a, ok := k.asked[name]; ok {
		return a.records, a.err
	}
	if len(name) > 253 {
		return nil, errors.New("the name of its key is too long")
	}
	if len(k.asked) >= maxKeys {
		return nil, fmt.Errorf("its chain needs more than %d keys", maxKeys)
	}
	if k.asked == nil {
		k.asked = map[string]answer{}
	}
	records, err := k.resolver.LookupTXT(ctx, name)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		err = fmt.Errorf("%s: %w", name, sig.ErrNoKey)
	case err != nil:
		err = &temporaryError{fmt.Errorf("the key at %s could not be asked for: %w", name, err)}
	}
	k.asked[name] = answer{records, err}
	return records, err
}
