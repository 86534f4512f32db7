package workflow

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"autoresearch/pkg/spec"
)

// The bounds of what a history remembers in full; of every experiment it knows the id and a hash of the content.
const (
	rankedMax = 64
	recentMax = 512
	// missesMax is how many checkpoints in a row may lack an experiment before it no longer counts as outstanding: the
	// engine did not take it (a result that failed as a whole, an answer that was lost).
	missesMax = 3
)

// history is what the past of a run means to its workflow. It is a function of the tasks known: built from all of them
// at once after a restart, or bit by bit while the run goes on, it proposes the same. One step costs the same however
// long the run is. It is not safe for concurrent use.
type history struct {
	file *File

	// finished has every task known, and whether it is finished.
	finished map[spec.TaskID]bool
	// tried has the content hash of every experiment known.
	tried map[uint64]struct{}
	// outstanding are the experiments that are not finished.
	outstanding map[spec.TaskID]*entry
	// experiments counts the experiments known; heard numbers them. proposals is the highest number of a proposal known.
	experiments int
	heard       int
	proposals   uint64
	// base is the first experiment known of the kind that is proposed; it gives samples the keys outside the space.
	base *spec.TaskSpec
	// exhausted says that every point of the space was tried.
	exhausted bool

	// ranked are the best completed experiments that may be parents, the best first; recent are those finished last.
	ranked []*entry
	recent []*entry

	// record is the best value so far, if there is one; waited counts the experiments finished since it was set.
	record    float64
	hasRecord bool
	waited    int

	proposer proposerHistory
	pace     pace
}

// proposerHistory is what is known of a proposer that is a command.
type proposerHistory struct {
	// asked is the highest number of a call known; calls are those not answered yet, each with the number of checkpoints
	// in a row that lacked it.
	asked uint64
	calls map[spec.TaskID]int
	// failures counts the calls that failed since one did not; failure is the last one's message.
	failures int
	failure  string
}

// entry is one experiment.
type entry struct {
	spec   spec.TaskSpec
	parent spec.TaskID
	// number is the order in which the history heard of the experiments.
	number int
	// result is nil until it finished; value is the objective's, NaN when there is none.
	result *spec.TaskResult
	value  float64
	missed int
}

func newHistory(f *File) *history {
	return &history{
		file:        f,
		finished:    map[spec.TaskID]bool{},
		tried:       map[uint64]struct{}{},
		outstanding: map[spec.TaskID]*entry{},
		proposer:    proposerHistory{calls: map[spec.TaskID]int{}},
	}
}

// admit takes note of a task that is now to be run. It reports false for one that is known.
func (h *history) admit(task spec.TaskSpec, parent spec.TaskID) bool {
	if _, known := h.finished[task.ID]; known {
		return false
	}
	h.finished[task.ID] = false
	if h.isPropose(task) {
		h.proposer.asked = max(h.proposer.asked, numbered(task.ID, proposePrefix))
		h.proposer.calls[task.ID] = 0
		return true
	}
	h.tried[task.ContentHash()] = struct{}{}
	h.proposals = max(h.proposals, numbered(task.ID, proposalPrefix))
	h.expect(task, parent)
	if h.base == nil && h.file.Proposer != nil && task.Kind == h.file.Proposer.Kind {
		h.base = &task
	}
	return true
}

// expect counts an experiment as outstanding.
func (h *history) expect(task spec.TaskSpec, parent spec.TaskID) *entry {
	h.experiments++
	h.heard++
	e := &entry{spec: task, parent: cmp.Or(task.Parent, parent), number: h.heard, value: math.NaN()}
	h.outstanding[task.ID] = e
	return e
}

// finish takes note of a task's result. It reports false when it had one.
func (h *history) finish(task spec.TaskSpec, result spec.TaskResult) bool {
	h.admit(task, "")
	if h.finished[task.ID] {
		return false
	}
	h.finished[task.ID] = true
	if h.isPropose(task) {
		delete(h.proposer.calls, task.ID)
		h.proposer.finish(result)
		h.pace.call(result)
		return true
	}
	e := h.outstanding[task.ID]
	if e == nil { // given up after a few checkpoints without it
		e = h.expect(task, "")
	}
	delete(h.outstanding, task.ID)
	e.result, e.value = h.kept(result), h.score(result)
	h.remember(e)
	h.pace.experiment(result)
	h.waited++
	if h.file.Objective.Improves(e.value, h.record, h.hasRecord) {
		h.record, h.hasRecord, h.waited = e.value, true, 0
	}
	return true
}

// finish takes note of how a call ended.
func (p *proposerHistory) finish(result spec.TaskResult) {
	if result.Succeeded() {
		p.failures, p.failure = 0, ""
		return
	}
	p.failures++
	p.failure = result.Failure.Message
}

// kept returns what of a result is of use later: all of it only where a proposer of the user's is to see it.
func (h *history) kept(result spec.TaskResult) *spec.TaskResult {
	if !h.file.Proposer.Custom() {
		return &spec.TaskResult{}
	}
	result.Children = nil
	return &result
}

// score returns the objective's value of a result, NaN when it has none that could be the best.
func (h *history) score(result spec.TaskResult) float64 {
	value, ok := result.Metrics[h.file.Objective.Metric]
	if !ok || !result.Succeeded() || h.file.Objective.Metric == "" || math.IsInf(value, 0) {
		return math.NaN()
	}
	return value
}

// remember files a finished experiment under the best and the recent ones.
func (h *history) remember(e *entry) {
	if h.file.Proposer.Custom() {
		h.recent = append(h.recent, e)
		if len(h.recent) >= 2*recentMax {
			h.recent = slices.Clone(h.recent[len(h.recent)-recentMax:])
		}
	}
	if math.IsNaN(e.value) || (h.file.Proposer.BuiltIn() && e.spec.Kind != h.file.Proposer.Kind) {
		return
	}
	rank, _ := slices.BinarySearchFunc(h.ranked, e, h.compare)
	if rank < rankedMax {
		h.ranked = slices.Insert(h.ranked, rank, e)
		h.ranked = h.ranked[:min(len(h.ranked), rankedMax)]
	}
}

// compare orders experiments from the best to the worst; the id decides among equals, so that the order does not
// depend on that of the results.
func (h *history) compare(a, b *entry) int {
	switch {
	case h.file.Objective.Better(a.value, b.value):
		return -1
	case h.file.Objective.Better(b.value, a.value):
		return 1
	}
	return strings.Compare(string(a.spec.ID), string(b.spec.ID))
}

// restore builds the history from every task known, in arrival order. A reported task counts as not finished: its
// result is still to come.
func (h *history) restore(tasks []*spec.Task, results map[spec.TaskID]spec.TaskResult) {
	for _, task := range tasks {
		h.admit(task.Spec, task.Parent)
	}
	ended := slices.DeleteFunc(slices.Clone(tasks), func(t *spec.Task) bool { return !t.State.Terminal() })
	slices.SortStableFunc(ended, func(a, b *spec.Task) int { return cmp.Compare(outcomeOrder(a), outcomeOrder(b)) })
	for _, task := range ended {
		h.finish(task.Spec, finalResult(task, results[task.Spec.ID]))
	}
}

// finalResult returns the result of a finished task as its result hook saw it: what the engine decided outweighs what
// the attempt reported.
func finalResult(task *spec.Task, result spec.TaskResult) spec.TaskResult {
	if task.Outcome != nil && task.Outcome.Failure != nil {
		result.Failure = task.Outcome.Failure
	}
	if task.State == spec.StateFailed && result.Failure == nil {
		result.Failure = &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob}
	}
	return result
}

func outcomeOrder(t *spec.Task) uint64 {
	if t.Outcome == nil {
		return 0
	}
	return t.Outcome.Order
}

// compareWith learns from a checkpoint what others submitted and what the engine never took. unfinished is the queue
// and what runs.
func (h *history) compareWith(unfinished []spec.TaskSpec) {
	for _, e := range h.outstanding {
		e.missed++
	}
	for call := range h.proposer.calls {
		h.proposer.calls[call]++
	}
	for i := range unfinished {
		id := unfinished[i].ID
		h.admit(unfinished[i], "")
		if e := h.outstanding[id]; e != nil {
			e.missed = 0
		} else if _, calling := h.proposer.calls[id]; calling {
			h.proposer.calls[id] = 0
		}
	}
	h.giveUp()
}

// giveUp stops waiting for what too many checkpoints lacked.
func (h *history) giveUp() {
	maps.DeleteFunc(h.proposer.calls, func(_ spec.TaskID, missed int) bool { return missed >= missesMax })
	for id, e := range h.outstanding {
		if e.missed >= missesMax {
			delete(h.outstanding, id)
			h.experiments--
		}
	}
}

// isPropose reports whether a task is a call of the user's proposer.
func (h *history) isPropose(task spec.TaskSpec) bool {
	return task.Kind == KindPropose && h.file.Proposer.Custom()
}

// numbered returns the number in an id of the form prefix and digits, 0 for any other id. A number no run could reach
// is none.
func numbered(id spec.TaskID, prefix string) uint64 {
	digits, ok := strings.CutPrefix(string(id), prefix)
	if !ok || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return 0
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// proposalID and proposeID name the proposals of the built-in proposer and the calls of one that is a command.
func proposalID(number uint64) spec.TaskID {
	return spec.TaskID(fmt.Sprintf("%s%04d", proposalPrefix, number))
}

func proposeID(number uint64) spec.TaskID {
	return spec.TaskID(fmt.Sprintf("%s%04d", proposePrefix, number))
}

const (
	proposalPrefix = "e"
	proposePrefix  = "propose-"
)
