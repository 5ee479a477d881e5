package admin

import "context"

// DKIMRecords implements Operations.
func (s *Service) DKIMRecords(ctx context.Context, domain string) ([]DKIMKey, error) {
	if s.Signing == nil {
		return nil, noSigning
	}
	name, err := s.keyDomain(ctx, domain)
	if err != nil {
		return nil, err
	}
	keys, err := s.Signing.Keys(ctx, name)
	if err != nil {
		return nil, err
	}
	all := make([]DKIMKey, len(keys))
	for i, k := range keys {
		all[i] = s.dkimKey(k)
	}
	return all, nil
}

// DKIMRecords implements Operations.
func (c *Client) DKIMRecords(ctx context.Context, domain string) ([]DKIMKey, error) {
	return post[[]DKIMKey](ctx, c, "dkim.records", domain)
}
