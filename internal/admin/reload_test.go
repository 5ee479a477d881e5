package admin

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What is wrong with the configuration comes through the socket whole, and is no fault of
// the server's.
func TestReload(t *testing.T) {
	s := &Service{}
	path, stop := start(t, s)
	defer stop()
	c := NewClient(path)
	defer c.Close()
	if _, err := c.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "reads no configuration") {
		t.Errorf("without a configuration: %v", err)
	}
	s.Reconfigure = func(context.Context) (Reloaded, error) {
		return Reloaded{}, errors.Join(errors.New("a: one"), errors.New("b: two"))
	}
	_, err := c.Reload(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "a: one\nb: two\n") || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("with mistakes: %v", err)
	}
	if status, _ := toWire(&invalid{"x"}); status != 400 {
		t.Errorf("status %d", status)
	}
	s.Reconfigure = func(context.Context) (Reloaded, error) { return Reloaded{Changed: []string{"a"}}, nil }
	if done, err := c.Reload(t.Context()); err != nil || len(done.Changed) != 1 {
		t.Errorf("%v, %v", done, err)
	}
}
