package admin

import (
	"context"
	"slices"

	"kurir/internal/directory"
)

// options are an alias in the directory's terms.
func (a Alias) options() (directory.AliasOptions, error) {
	o := directory.AliasOptions{To: a.Remote, MaySend: a.MaySend}
	for _, t := range a.Targets {
		if !slices.Contains(a.Remote, t) {
			o.Targets = append(o.Targets, t)
		}
	}
	post, err := directory.ParsePost(a.Post)
	if err != nil {
		return o, &invalid{"who may write: " + err.Error()}
	}
	o.Post = post
	return o, nil
}

// SetAlias implements Operations.
func (s *Service) SetAlias(ctx context.Context, a Alias) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := a.options()
	if err == nil {
		_, err = s.Directory.ReplaceAlias(ctx, a.Address, o)
	}
	return err
}

// SetAlias implements Operations.
func (c *Client) SetAlias(ctx context.Context, a Alias) error {
	return c.act(ctx, "alias.set", a)
}
