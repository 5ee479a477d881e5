package main

import (
	"fmt"
	"io"
	"time"
)

// progress tells a person how far long work is, and how long it will still take.
type progress struct {
	to    io.Writer
	all   int
	done  int
	begun time.Time
	said  time.Time
}

// progressEvery is the time between two lines; short work says nothing.
const progressEvery = 2 * time.Second

func (e *env) progress(all int) *progress {
	now := time.Now()
	return &progress{to: e.stderr, all: all, begun: now, said: now}
}

// add notes that n more are done.
func (p *progress) add(n int) {
	p.done += n
	now := time.Now()
	if now.Sub(p.said) < progressEvery || p.done >= p.all {
		return
	}
	p.said = now
	left := time.Duration(float64(now.Sub(p.begun)) / float64(p.done) * float64(p.all-p.done))
	fmt.Fprintf(p.to, "%d of %d done, about %v left\n", p.done, p.all, left.Round(time.Second))
}

// end says how long it took, if it took long.
func (p *progress) end() {
	if took := time.Since(p.begun); took >= progressEvery {
		fmt.Fprintf(p.to, "%d of %d done in %v\n", p.done, p.all, took.Round(time.Second))
	}
}
