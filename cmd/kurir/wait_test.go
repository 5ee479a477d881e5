package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhileWaiting: long work shows that it goes on; short work says nothing.
func TestWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		e := &env{stderr: &out}
		stop := e.whileWaiting("checking alice@example.test")
		time.Sleep(time.Second)
		stop()
		if out.String() != "" {
			t.Errorf("after a second: %q", out.String())
		}
		stop = e.whileWaiting("checking alice@example.test")
		time.Sleep(11 * time.Second)
		stop()
		if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "Still checking alice@example.test, for 10s now") {
			t.Errorf("after 11 seconds: %q", got)
		}
	})
}
