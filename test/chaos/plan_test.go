//go:build linux

package main

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestPlan holds schedules of many seeds to their rules: in order, apart, over before the quiet time, and nothing left out.
func TestPlan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		length := time.Duration(1+seed%7) * 50 * time.Second
		seen := map[kind]bool{}
		for _, r := range plan(seed, length, rules) {
			if quiet := r.end - r.heal; quiet < (r.end-r.begin)/quietShare {
				t.Errorf("seed %d: %v of quiet from %v to %v", seed, quiet, r.begin, r.end)
			}
			for i, f := range r.faults {
				seen[f.kind] = true
				if f.at < r.begin || f.at+f.lasts > r.heal || i > 0 && f.at < r.faults[i-1].at {
					t.Errorf("seed %d: %v at %v in the round from %v to %v", seed, f, f.at, r.begin, r.heal)
				}
				if slices.ContainsFunc(r.faults[:i], f.meets) {
					t.Errorf("seed %d: %v at %v meets another", seed, f, f.at)
				}
			}
		}
		for _, r := range rules {
			if length >= 300*time.Second && !seen[r.kind] {
				t.Errorf("seed %d: no %s in %v", seed, r.kind, length)
			}
		}
	}
}

func TestPlanIsOfItsSeed(t *testing.T) {
	t.Parallel()
	first, again := plan(7, 3*time.Minute, rules), plan(7, 3*time.Minute, rules)
	if !reflect.DeepEqual(first, again) {
		t.Error("the same seed gave two schedules")
	}
	if reflect.DeepEqual(first, plan(8, 3*time.Minute, rules)) {
		t.Error("two seeds gave the same schedule")
	}
}

// TestPossible checks that a machine without namespaces gets the faults that need none.
func TestPossible(t *testing.T) {
	t.Parallel()
	left := possible(rules, func(n need) bool { return n == needsNothing })
	if len(left) == 0 || len(left) == len(rules) {
		t.Errorf("%d of %d kinds are left", len(left), len(rules))
	}
	for _, r := range left {
		if r.needs != needsNothing {
			t.Errorf("%s needs %s", r.kind, r.needs)
		}
	}
}
