package workflow

import (
	"encoding/binary"
	"math/rand/v2"

	"autoresearch/pkg/spec"
)

// The built-in proposer. A proposal has a number; everything random about it comes from the seed and that number, so
// that a restart, or a hook that runs again, proposes the same. Its id is "e" and the number.
//
// Strategy random draws a point of the space. Strategy mutate varies a parent:
//
//   - Now and then (restartChance), and where there is no parent, it draws a point at random after all.
//   - The parent is one of the 64 best completed experiments of the proposal's kind. The best is chosen most often,
//     each next one by the factor rankDecay less, and none more than Proposer.Children times at one result.
//   - Each dimension changes with mutationChance, one at least. A float moves by a normally distributed step on its
//     scale, an int likewise by one at least, a choice of numbers mostly to a neighbour, another choice anywhere; the
//     sizes are in space.go.
//   - The child keeps the parent's keys outside the space. Its priority is the parent's rank, 0 for the best: lower
//     runs first. A point drawn at random has restartPriority while there are parents.
//
// A payload is proposed once at most, whoever thought of it first. A proposal that turns out to be known is drawn
// again, then looked for in order if the space is small; a space that was tried from end to end gives none. A point
// drawn at random keeps the keys of the first experiment known of its kind and counts as its child; failed experiments
// are never parents, and when all failed the search goes on at random.
const (
	restartChance   = 0.1
	rankDecay       = 0.6
	mutationChance  = 0.25
	restartPriority = 1

	drawsMax = 64
	// smallSpace is the number of points up to which a space is searched for one that was not tried.
	smallSpace = 1 << 16
)

// roots returns n points drawn at random as the first specs of a run.
func (h *history) roots(n int) []spec.TaskSpec {
	var roots []spec.TaskSpec
	for len(roots) < n {
		root, ok := h.propose(map[spec.TaskID]int{})
		if !ok {
			break
		}
		root.Parent, root.Priority = "", spec.PriorityDefault
		h.admit(root, "")
		roots = append(roots, root)
	}
	return roots
}

// fill proposes and admits what is due now.
func (h *history) fill() []spec.TaskSpec {
	var proposals []spec.TaskSpec
	given := map[spec.TaskID]int{}
	for range h.due() {
		proposal, ok := h.propose(given)
		if !ok {
			break
		}
		h.admit(proposal, "")
		proposals = append(proposals, proposal)
	}
	return proposals
}

// due returns how many experiments the queue lacks.
func (h *history) due() int {
	return max(0, min(h.ahead()+h.file.MaxConcurrency-len(h.outstanding), h.room()))
}

// room returns how many more experiments the stop rules allow.
func (h *history) room() int {
	const unlimited = 1 << 30
	if h.file.Stop.MaxExperiments == 0 {
		return unlimited
	}
	return max(0, h.file.Stop.MaxExperiments-h.experiments)
}

// propose makes the next proposal. given counts the mutants of each parent at this result. There is none when
// everything was tried, or nothing new was found.
func (h *history) propose(given map[spec.TaskID]int) (proposal spec.TaskSpec, ok bool) {
	number := h.proposals + 1
	for draw := range uint64(drawsMax) {
		random := randomFor(h.file.Proposer.Seed, number, draw)
		proposal, mutant := h.draw(random, given)
		proposal.ID, proposal.Kind = proposalID(number), h.file.Proposer.Kind
		if _, known := h.tried[proposal.ContentHash()]; known {
			continue
		}
		if mutant {
			given[proposal.Parent]++
		}
		return proposal, true
	}
	return h.search(randomFor(h.file.Proposer.Seed, number, drawsMax), number)
}

// randomFor returns the random numbers of one draw of one proposal.
func randomFor(seed int, number, draw uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], uint64(seed))
	binary.LittleEndian.PutUint64(key[8:], number)
	binary.LittleEndian.PutUint64(key[16:], draw)
	return rand.New(rand.NewChaCha8(key))
}

// draw makes a proposal by the strategy, without its id and kind, and says whether it is the mutant of a parent.
func (h *history) draw(random *rand.Rand, given map[spec.TaskID]int) (proposal spec.TaskSpec, mutant bool) {
	if h.file.Proposer.Strategy == StrategyMutate && random.Float64() >= restartChance {
		if rank, found := h.pickParent(random, given); found {
			return h.mutant(random, rank), true
		}
	}
	return h.sample(func(d *Dimension) []byte { return d.sample(random) }), false
}

// pickParent returns the rank of a parent that may have one more child.
func (h *history) pickParent(random *rand.Rand, given map[spec.TaskID]int) (rank int, found bool) {
	total, weight := 0.0, 1.0
	for i, e := range h.ranked {
		if given[e.spec.ID] < h.file.Proposer.Children {
			// Each takes the place of those before it with the chance of its share so far.
			if total += weight; random.Float64()*total < weight {
				rank, found = i, true
			}
		}
		weight *= rankDecay
	}
	return rank, found
}

// mutant varies the payload of the parent of the given rank.
func (h *history) mutant(random *rand.Rand, rank int) spec.TaskSpec {
	parent := &h.ranked[rank].spec
	space := h.file.Space
	always := random.IntN(len(space))
	payload := withValues(parent.Payload, space, func(d *Dimension, old []byte) []byte {
		switch changes := random.Float64() < mutationChance; {
		case old == nil:
			return d.sample(random)
		case changes, d.Name == space[always].Name:
			return d.step(random, old)
		}
		return old
	})
	return spec.TaskSpec{Priority: float64(rank), Payload: payload, Parent: parent.ID}
}

// sample makes a point of the space from a value for each dimension.
func (h *history) sample(value func(d *Dimension) []byte) spec.TaskSpec {
	var sample spec.TaskSpec
	var fixed spec.Payload
	if h.base != nil {
		fixed, sample.Parent = h.base.Payload, h.base.ID
	}
	if len(h.ranked) > 0 {
		sample.Priority = restartPriority
	}
	sample.Payload = withValues(fixed, h.file.Space, func(d *Dimension, _ []byte) []byte { return value(d) })
	return sample
}

// search looks through a small space, from a random point on, for one that was not tried.
func (h *history) search(random *rand.Rand, number uint64) (proposal spec.TaskSpec, ok bool) {
	points := h.file.Space.points()
	if h.exhausted || points > smallSpace {
		return spec.TaskSpec{}, false
	}
	start := random.Uint64N(uint64(points))
	for i := range uint64(points) {
		index := (start + i) % uint64(points)
		proposal = h.sample(func(d *Dimension) []byte {
			count := uint64(d.points())
			value := d.point(index % count)
			index /= count
			return value
		})
		proposal.ID, proposal.Kind = proposalID(number), h.file.Proposer.Kind
		if _, known := h.tried[proposal.ContentHash()]; !known {
			return proposal, true
		}
	}
	h.exhausted = true
	return spec.TaskSpec{}, false
}

// points returns how many points the space has; +Inf with a float in it.
func (s Space) points() float64 {
	points := 1.0
	for i := range s {
		points *= s[i].points()
	}
	return points
}

// withValues returns the payload with a value for each dimension: those it has stay in their place, the others follow.
// value is given the old one, nil where the payload has none.
func withValues(payload spec.Payload, space Space, value func(d *Dimension, old []byte) []byte) spec.Payload {
	fields, err := payloadFields(payload)
	if err != nil {
		fields = nil // no task has such a payload; a sample alone is the best answer
	}
	for i := range space {
		d := &space[i]
		place := lastNamed(fields, d.Name)
		if place < 0 {
			fields = append(fields, spec.Field{Name: d.Name, Value: value(d, nil)})
			continue
		}
		fields[place].Value = value(d, fields[place].Value)
	}
	changed, err := spec.ParsePayload(spec.EncodeFields(fields))
	if err != nil {
		panic("workflow: a payload made of JSON values is none: " + err.Error())
	}
	return changed
}

func payloadFields(payload spec.Payload) ([]spec.Field, error) {
	if len(payload) == 0 {
		return nil, nil
	}
	return spec.DecodeFields(payload)
}

// lastNamed returns the place of a key, the last of equal ones, or -1.
func lastNamed(fields []spec.Field, name string) int {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Name == name {
			return i
		}
	}
	return -1
}
