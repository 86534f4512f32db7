//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is one entry of a schedule.
type fault struct {
	kind    kind
	targets []string      // the members it strikes; none for one that strikes a stream
	at      time.Duration // after the schedule's begin
	lasts   time.Duration // 0 for one that is over at once
}

func (f fault) String() string {
	text := strings.TrimSpace(fmt.Sprintf("%s %s", f.kind, strings.Join(f.targets, " ")))
	if f.lasts > 0 {
		text += fmt.Sprintf(" for %.1fs", f.lasts.Seconds())
	}
	return text
}

// round is a time of faults, with a quiet one after it.
type round struct {
	begin, heal, end time.Duration // all faults are over at heal
	faults           []fault       // in the order of their begin
}

// The measures of a schedule.
const (
	roundLength = time.Minute
	faultEvery  = 3 * time.Second // on average
	quietShare  = 4               // a quarter of a round is quiet
	apart       = 2 * time.Second // between two faults of one member
	placesTried = 30
)

// plan draws a schedule of about that length. Kinds come from a shuffled deck, so that each comes before any comes again;
// no member is struck by two faults at once. The same arguments give the same schedule.
func plan(seed uint64, length time.Duration, kinds []rule) []round {
	p := &planner{random: rand.New(rand.NewPCG(seed, 1)), kinds: kinds}
	rounds := make([]round, max(1, int(length.Round(roundLength)/roundLength)))
	each := length / time.Duration(len(rounds))
	for i := range rounds {
		begin := time.Duration(i) * each
		rounds[i] = p.round(begin, begin+each-each/quietShare, begin+each)
	}
	return rounds
}

type planner struct {
	random *rand.Rand
	kinds  []rule
	deck   []rule
}

// round fills the time from begin to heal. What finds no place in it goes below the deck.
func (p *planner) round(begin, heal, end time.Duration) round {
	r := round{begin: begin, heal: heal, end: end}
	var left []rule
	for range (heal - begin) / faultEvery {
		rule := p.next()
		f, ok := p.place(rule, &r)
		if !ok {
			left = append(left, rule)
			continue
		}
		r.faults = append(r.faults, f)
	}
	p.deck = append(p.deck, left...)
	slices.SortStableFunc(r.faults, func(a, b fault) int { return int(a.at - b.at) })
	return r
}

// next takes the next kind of the deck.
func (p *planner) next() rule {
	if len(p.deck) == 0 {
		p.deck = slices.Clone(p.kinds)
		p.random.Shuffle(len(p.deck), func(i, j int) { p.deck[i], p.deck[j] = p.deck[j], p.deck[i] })
	}
	rule := p.deck[0]
	p.deck = p.deck[1:]
	return rule
}

// place draws a fault until it fits between the others of a round.
func (p *planner) place(rule rule, r *round) (fault, bool) {
	for range placesTried {
		f := fault{kind: rule.kind, targets: rule.draw(p.random), lasts: rule.low}
		if rule.high > rule.low {
			f.lasts += time.Duration(p.random.Int64N(int64(rule.high - rule.low)))
		}
		room := r.heal - r.begin - f.lasts
		if room <= 0 {
			return fault{}, false
		}
		f.at = r.begin + time.Duration(p.random.Int64N(int64(room)))
		if !slices.ContainsFunc(r.faults, f.meets) {
			return f, true
		}
	}
	return fault{}, false
}

// meets reports whether two faults strike one member at nearly one time.
func (f fault) meets(other fault) bool {
	if f.at > other.at+other.lasts+apart || other.at > f.at+f.lasts+apart {
		return false
	}
	return slices.ContainsFunc(f.targets, func(name string) bool { return slices.Contains(other.targets, name) })
}
