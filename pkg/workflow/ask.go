package workflow

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"autoresearch/pkg/spec"
)

// A proposer that is a command of the user's runs as a task of its own kind. It is called whenever at most
// Proposer.Ahead experiments are outstanding and no call is, or more where it is slow (see pace.go), and writes child
// specs. A call that fails is repeated at the next result; a call that brings nothing new is not, unless other
// experiments finish, and so ends a search.
//
// On its standard input it reads one JSON object, in the dialect of all files: a metric may be NaN, Infinity or
// -Infinity.
//
//	objective  {"metric": ..., "direction": "minimize" or "maximize"}, or null
//	space      the space section of the file, or null
//	ahead      how many specs the queue should hold, as the file says
//	want       how many specs this call is asked for: more than that where calls take long
//	left_out   how many experiments are not among the nodes
//	nodes      the experiments as engine/tree.json has them, in the order they came to be known, each with its kind and
//	           without its list of children
//
// What a call has cost beside its slot, at a model's provider say, it reports as "cost" in its result file.
//
// The text stays under 512 KiB. When there are too many nodes, the best, the unfinished and the newest are given, in
// this order of preference.
const (
	// KindPropose is the kind of a proposer's calls. They are no experiments: no limit counts them.
	KindPropose = "propose"
	// proposePriority puts a call before all experiments: lower runs first.
	proposePriority = -1e6
	// proposeFailuresMax calls in a row may fail before a search with nothing left to run is given up.
	proposeFailuresMax = 3

	// childrenMax is how many children one result may bring where the file does not say.
	childrenMax = 10_000

	// inputMax bounds the text of a call's input; a node above nodeMax is left out of it.
	inputMax = 512 << 10
	nodeMax  = 64 << 10
)

// ask returns the call of the proposer that is due now, if one is, and admits it.
func (h *history) ask() []spec.TaskSpec {
	if len(h.proposer.calls) > 0 || len(h.outstanding) > h.few() || h.room() == 0 {
		return nil
	}
	call := spec.TaskSpec{ID: proposeID(h.proposer.asked + 1), Kind: KindPropose, Priority: proposePriority}.WithDefaults()
	h.admit(call, "")
	return []spec.TaskSpec{call}
}

// want returns how many specs a call is asked for: what the queue lacks, but no more than its result may bring.
func (h *history) want() int {
	return max(1, min(h.due(), cmp.Or(h.file.Limits.Children, childrenMax)))
}

// answered returns what follows from a call's result: the children that are news, and the next call.
func (h *history) answered(result spec.TaskResult) []spec.TaskSpec {
	if !result.Succeeded() {
		if len(h.outstanding) > 0 || h.proposer.failures >= proposeFailuresMax {
			return nil
		}
		return h.ask()
	}
	children := h.accept(result.Children)
	if len(children) == 0 {
		return nil
	}
	return append(children, h.ask()...)
}

// accept admits the specs of a proposer: none whose id or whose kind and payload are known, none of the proposer's own
// kind, and no more than the stop rules allow. A parent that nobody knows is dropped.
func (h *history) accept(children []spec.TaskSpec) []spec.TaskSpec {
	named := map[spec.TaskID]bool{}
	for i := range children {
		named[children[i].ID] = true
	}
	var accepted []spec.TaskSpec
	for _, child := range children[:len(children):len(children)] {
		child.Kind = h.childKind(child.Kind)
		if _, known := h.finished[child.Parent]; !known && !named[child.Parent] {
			child.Parent = ""
		}
		_, tried := h.tried[child.ContentHash()]
		if tried || child.Kind == KindPropose || h.room() == 0 || !h.admit(child, "") {
			continue
		}
		accepted = append(accepted, child)
	}
	return accepted
}

// childKind returns the kind of a proposed spec: one that names none, and so has the default kind, gets the kind of
// proposals where there is no default.
func (h *history) childKind(kind string) string {
	listed := slices.ContainsFunc(h.file.Kinds, func(k Kind) bool { return k.Name == spec.KindDefault })
	if kind == spec.KindDefault && !listed && h.file.Proposer.Kind != "" {
		return h.file.Proposer.Kind
	}
	return kind
}

// input returns what a call reads.
func (h *history) input() []byte {
	nodes, leftOut := h.inputNodes(inputMax)
	var text []byte
	text = append(text, `{"objective":`...)
	text = append(text, h.file.objectiveJSON()...)
	text = append(text, `,"space":`...)
	if h.file.spaceJSON == nil {
		text = append(text, "null"...)
	}
	text = append(text, h.file.spaceJSON...)
	text = append(text, `,"ahead":`...)
	text = strconv.AppendInt(text, int64(h.file.Proposer.Ahead), 10)
	text = append(text, `,"want":`...)
	text = strconv.AppendInt(text, int64(h.want()), 10)
	text = append(text, `,"left_out":`...)
	text = strconv.AppendInt(text, int64(leftOut), 10)
	text = append(text, `,"nodes":[`...)
	for i, node := range nodes {
		text = append(comma(text, i), node...)
	}
	return append(text, "]}\n"...)
}

func (f *File) objectiveJSON() string {
	switch {
	case f.Objective.Metric == "":
		return "null"
	case f.Objective.Maximize:
		return `{"metric":` + quoted(f.Objective.Metric) + `,"direction":"` + directionMaximize + `"}`
	}
	return `{"metric":` + quoted(f.Objective.Metric) + `,"direction":"` + directionMinimize + `"}`
}

// inputNodes returns the nodes that fit, in the order they were heard of, and how many experiments are left out.
func (h *history) inputNodes(bytesMax int) (nodes [][]byte, leftOut int) {
	bytesMax -= len(h.file.spaceJSON) + 1024
	texts := map[int][]byte{}
	for _, e := range h.preferred() {
		if _, twice := texts[e.number]; twice {
			continue
		}
		text := e.appendNode(nil)
		if len(text) > nodeMax || len(text) >= bytesMax {
			continue
		}
		bytesMax -= len(text) + 1
		texts[e.number] = text
	}
	numbers := make([]int, 0, len(texts))
	for number := range texts {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		nodes = append(nodes, texts[number])
	}
	return nodes, h.experiments - len(nodes)
}

// preferred returns the experiments worth a place in the input, the most worthy first; some are in it twice.
func (h *history) preferred() []*entry {
	unfinished := make([]*entry, 0, len(h.outstanding))
	for _, e := range h.outstanding {
		unfinished = append(unfinished, e)
	}
	newest := func(a, b *entry) int { return b.number - a.number }
	slices.SortFunc(unfinished, newest)
	finished := slices.Clone(h.recent)
	slices.Reverse(finished)
	return slices.Concat(h.ranked, unfinished[:min(len(unfinished), recentMax)], finished)
}

// appendNode appends the experiment as a node of the hypothesis tree.
func (e *entry) appendNode(text []byte) []byte {
	node := spec.HypothesisNode{
		NodeID: string(e.spec.ID), Name: string(e.spec.ID), ParentID: string(e.parent), Spec: e.spec.Payload,
		Status: spec.StatusQueued, Priority: e.spec.Priority,
		Extra: []spec.Field{{Name: "kind", Value: json.RawMessage(quoted(e.spec.Kind))}},
	}
	if e.result != nil {
		e.fill(&node)
	}
	return node.AppendJSON(text)
}

// fill sets what the result says.
func (e *entry) fill(node *spec.HypothesisNode) {
	node.Status, node.Failure = spec.StatusCompleted, e.result.Failure
	if !e.result.Succeeded() {
		node.Status = spec.StatusFailed
	}
	if e.result.Attempt > 0 {
		node.JobID = string(e.spec.ID) + "/" + strconv.FormatUint(uint64(e.result.Attempt), 10)
	}
	if !e.result.Started.IsZero() {
		launched := float64(e.result.Started.UnixMicro()) / 1e6
		duration := math.Round(e.result.Duration.Seconds()*1e3) / 1e3
		node.LaunchedAt, node.Duration = &launched, &duration
	}
	node.Result = e.resultJSON()
}

// resultJSON returns metrics and output as a node has them; nil when there are none.
func (e *entry) resultJSON() json.RawMessage {
	parts := map[string]any{}
	if len(e.result.Metrics) > 0 {
		parts["metrics"] = e.result.Metrics
	}
	if len(e.result.Output) > 0 {
		parts["output"] = e.result.Output
	}
	if len(parts) == 0 {
		return nil
	}
	text, err := spec.EncodeValue(parts)
	if err != nil { // an output that is no JSON; the metrics alone always are
		delete(parts, "output")
		text, _ = spec.EncodeValue(parts)
	}
	return text
}
