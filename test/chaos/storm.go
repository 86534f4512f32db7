//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// struck is a fault as it happened, in times after the storm's begin.
type struck struct {
	fault
	began, ended time.Duration
	err          error // why it could not be done, or undone
}

// storm plays a schedule on a lab. Its methods may be called concurrently.
type storm struct {
	lab   *lab
	began time.Time
	out   io.Writer // hears of every fault as it happens

	mu     sync.Mutex
	struck []struck
	heals  []time.Duration // when each round's faults were over
}

// play plays the rounds in turn. It ends early with ctx, or with the run.
func (s *storm) play(ctx context.Context, rounds []round) {
	s.began = time.Now()
	for _, r := range rounds {
		if s.lab.finished() {
			s.say("the run ended before its faults did")
			return
		}
		var faults sync.WaitGroup
		for _, f := range r.faults {
			faults.Go(func() { s.strike(ctx, f) })
		}
		s.until(ctx, r.heal)
		faults.Wait()
		s.healed()
		s.until(ctx, r.end)
	}
}

// strike does a fault at its time and undoes it after its time. What was begun is undone even when ctx ends.
func (s *storm) strike(ctx context.Context, f fault) {
	s.until(ctx, f.at)
	if ctx.Err() != nil {
		return
	}
	happened := struck{fault: f, began: time.Since(s.began)}
	act := acts[f.kind]
	s.say(f.String())
	happened.err = act.begin(ctx, s.lab, f)
	if act.end != nil {
		pause(ctx, f.lasts)
		happened.err = errors.Join(happened.err, act.end(context.WithoutCancel(ctx), s.lab, f))
	}
	happened.ended = time.Since(s.began)
	if happened.err != nil {
		s.say(fmt.Sprintf("%s: %v", f, happened.err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck = append(s.struck, happened)
}

func (s *storm) healed() {
	s.say("all is healed")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heals = append(s.heals, time.Since(s.began))
}

func (s *storm) until(ctx context.Context, at time.Duration) { pause(ctx, at-time.Since(s.began)) }

// say prints a line with the time.
func (s *storm) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.began).Seconds(), text)
}
