package smtpd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kurir/internal/directory"
	"kurir/internal/policy"
)

// fakeForward rewrites alice@there.example to SRS0=there.example=alice@ the alias's
// domain. Return addresses with BAD in them are forged, long senders cannot be rewritten,
// and busy@local.test passes on no more.
type fakeForward struct{ passed map[string]int }

func (f *fakeForward) Sender(sender, alias string) (string, error) {
	if len(sender) > 60 {
		return "", errors.New("too long")
	}
	local, domain, _ := strings.Cut(sender, "@")
	return "SRS0=" + domain + "=" + local + alias[strings.IndexByte(alias, '@'):], nil
}

func (f *fakeForward) Return(ctx context.Context, address string) ([]directory.Recipient, bool, error) {
	local, at, _ := strings.Cut(address, "@")
	rest, is := strings.CutPrefix(local, "SRS0=")
	domain, local, _ := strings.Cut(rest, "=")
	switch {
	case !is || at != "local.test":
		return nil, false, nil
	case strings.Contains(rest, "BAD"):
		return nil, true, fmt.Errorf("%w: the hash does not fit", directory.ErrNoAccount)
	}
	to, err := fakeDirectory{}.Resolve(ctx, local+"@"+domain)
	if errors.Is(err, directory.ErrNoDomain) {
		return []directory.Recipient{{Remote: local + "@" + domain}}, true, nil
	}
	return to, true, err
}

func (f *fakeForward) Room(alias string, copies int) bool { return alias != "busy@local.test" }

func (f *fakeForward) Passed(alias string, copies int) {
	if f.passed == nil {
		f.passed = map[string]int{}
	}
	f.passed[alias] += copies
}

func (f *fakeForward) Seal(_ context.Context, alias string, v policy.Verdict, open policy.Open) []byte {
	if v.Results == "" {
		return nil
	}
	m, err := open()
	if err != nil || m.Close() != nil {
		return nil
	}
	return []byte("ARC-Seal: by " + alias + ", " + v.Results + "\r\n")
}

// fakePolicy finds that all is well, but for messages from junk@there.example and nobody
// called junk.
type fakePolicy struct{}

func (fakePolicy) Begin(_ context.Context, a policy.Arrival) func(context.Context, policy.Open) policy.Verdict {
	v := policy.Verdict{Results: "found", Header: []byte("Authentication-Results: found\r\n")}
	if a.Sender == "junk@there.example" || a.Helo == "junk" {
		v.Decision = policy.Junk
	}
	return func(context.Context, policy.Open) policy.Verdict { return v }
}
