package main

import (
	"fmt"
	"time"
)

// waitEvery is how often long work says that it goes on.
const waitEvery = 5 * time.Second

// whileWaiting says on stderr that work goes on, now and then until stop is called.
func (e *env) whileWaiting(what string) (stop func()) {
	start := time.Now()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		tick := time.NewTicker(waitEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				fmt.Fprintf(e.stderr, "Still %s, for %v now …\n", what, time.Since(start).Round(time.Second))
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}
