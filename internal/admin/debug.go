package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/pprof"
	"slices"
	"time"
)

// Profiles of a DebugQuery.
const (
	ProfileCPU        = "profile"    // where the processor's time goes, for some seconds
	ProfileHeap       = "heap"       // what the memory holds
	ProfileAllocs     = "allocs"     // what was ever asked of memory
	ProfileGoroutines = "goroutines" // what each goroutine does, as text
	ProfileBlock      = "block"
	ProfileMutex      = "mutex"
)

// Profiles are all of them.
func Profiles() []string {
	return []string{ProfileCPU, ProfileHeap, ProfileAllocs, ProfileGoroutines, ProfileBlock, ProfileMutex}
}

// MaxProfile is the longest time that is measured.
const MaxProfile = 5 * time.Minute

// DebugQuery asks a running server for a profile of itself. Profiles go over the control
// socket alone: what they show of memory is nobody else's.
type DebugQuery struct {
	Profile string        `json:"profile"`
	For     time.Duration `json:"for,omitempty"` // of ProfileCPU; zero means 30 seconds
}

// check says what is wrong with it, and fills in what is not said.
func (q *DebugQuery) check() error {
	if q.For == 0 {
		q.For = 30 * time.Second
	}
	switch {
	case !slices.Contains(Profiles(), q.Profile):
		return &invalid{fmt.Sprintf("there is no profile %q, but %q", q.Profile, Profiles())}
	case q.For < 0 || q.For > MaxProfile:
		return &invalid{fmt.Sprintf("a profile takes %v at most", MaxProfile)}
	}
	return nil
}

// debug answers "debug", whose answer is the profile itself.
func (s *Server) debug(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	var q DebugQuery
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q)
	if err != nil {
		err = &badRequest{err}
	} else {
		err = q.check()
	}
	if err == nil {
		err = writeProfile(r.Context(), w, q)
	}
	if err != nil {
		s.refuse(w, r, log, "debug", err)
		return
	}
	log.Info("control socket: done", "operation", "debug", "subject", q.Profile)
}

// writeProfile writes a profile as pprof reads it; that of goroutines is text.
func writeProfile(ctx context.Context, w io.Writer, q DebugQuery) error {
	switch q.Profile {
	case ProfileCPU:
		if err := pprof.StartCPUProfile(w); err != nil {
			return &invalid{"somebody else has the processor profiled at this moment, try again later"}
		}
		defer pprof.StopCPUProfile()
		t := time.NewTimer(q.For)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return nil
	case ProfileGoroutines:
		return pprof.Lookup("goroutine").WriteTo(w, 2)
	}
	return pprof.Lookup(q.Profile).WriteTo(w, 0)
}

// Debug writes a profile of the running server to w.
func (c *Client) Debug(ctx context.Context, q DebugQuery, w io.Writer) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	req, err := c.request(ctx, "debug", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e wireError
		if json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&e) != nil || e.Error == "" {
			return fmt.Errorf("the server answered debug with status %s", resp.Status)
		}
		return fromWire(e)
	}
	n, err := io.Copy(w, resp.Body)
	if err == nil && n == 0 {
		err = errors.New("the profile is empty: the server has stopped meanwhile")
	}
	return err
}
