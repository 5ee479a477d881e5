package admin

import (
	"context"
	"fmt"
)

// Reloaded tells what became of a configuration that was read again.
type Reloaded struct {
	Changed []string `json:"changed"` // the keys that were changed, and hold now
	Restart []string `json:"restart"` // those that differ and hold after a restart
}

// Reload implements Operations.
func (s *Service) Reload(ctx context.Context) (Reloaded, error) {
	if s.Reconfigure == nil {
		return Reloaded{}, &invalid{"this server reads no configuration"}
	}
	done, err := s.Reconfigure(ctx)
	if err != nil {
		return Reloaded{}, &invalid{fmt.Sprintf("%v\nnothing was changed: the server goes on with the configuration that it had", err)}
	}
	return done, nil
}

// Reload implements Operations.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return post[Reloaded](ctx, c, "reload", nil)
}
