package verify

import (
	"hash/fnv"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// task is what the fold keeps of a task. Everything that was recorded of it is in the sums, so that another source can be
// compared with all of it; what is judged is spelled out.
type task struct {
	id, parent spec.TaskID
	named      spec.TaskID // the parent that its spec names
	kind       string
	arrival    uint64
	seq        uint64 // the record of its newest change

	state                     spec.TaskState
	priority                  float64
	attempt, closed           uint32
	failures, lost, preempted uint32
	cancelled, interrupted    bool
	notBefore                 spec.EngineTime
	spent                     spec.Spent
	limited                   bool // it draws on an allowance of a task
	lease                     lease
	past                      []holding // who held it before

	order    uint64 // of its outcome; 0: none
	decider  uint32 // the attempt that decided
	claim    spec.ClaimID
	failed   bool
	byCancel bool          // its failure is that it was cancelled
	children []spec.TaskID // until they are judged

	sums  sums
	shown shown
	// vague: it was there at the base, in a state that nobody tells until its next change, or its value in the mirror.
	vague bool
}

// lease is what the fold keeps of one; the zero value is none.
type lease struct {
	attempt uint32
	claim   spec.ClaimID
	worker  spec.WorkerID
	boot    uint64
	class   string
	since   spec.EngineTime
	gpus    int
	perHour spec.Cost
}

// spent is what the lease has used up by an engine time.
func (l *lease) spent(by spec.EngineTime) spec.Spent {
	of := spec.Lease{Since: l.since, GPUs: l.gpus, PerHour: l.perHour}
	return of.Spent(by)
}

// holding is a claim that held a task and does not any more. Unless it lapsed it ended with its own report.
type holding struct {
	attempt uint32
	claim   spec.ClaimID
	lapsed  bool
}

// sums are checksums of the parts of a task as a record holds them.
type sums struct{ state, origin, outcome, children uint64 }

// shown are checksums of what the files of a workdir show of a task, whatever its form there.
type shown struct {
	payload, result, failure, body uint64
	// far says of the payload, and of the result, that it lies in the object store and only its name in the record.
	farPayload, farResult bool
}

// take applies a change: the state half always, of the other parts those that it carries.
func (t *task) take(seq uint64, c spec.Change) {
	from := c.Task
	t.seq = seq
	t.state, t.priority, t.attempt, t.closed = from.State, from.Priority, from.Attempt, from.Closed
	t.failures, t.lost, t.preempted = from.Failures, from.Lost, from.Preempted
	t.cancelled, t.interrupted, t.notBefore = from.Cancelled, from.Interrupted, from.NotBefore
	t.lease, t.spent = leaseOf(from.Lease), from.Spent
	t.sums.state = sumOf(from, 0)
	if c.Parts&spec.PartSpec != 0 {
		t.parent, t.named, t.kind, t.arrival = from.Parent, from.Spec.Parent, from.Spec.Kind, from.Seq
		t.shown.payload, t.shown.farPayload = meaning(from.Spec.Payload), !from.Spec.Stored.IsZero()
		t.sums.origin = originSum(from)
		allowed, err := from.Spec.Allowance()
		t.limited = from.Purse != "" || err == nil && !allowed.IsZero()
	}
	if c.Parts&spec.PartOutcome != 0 {
		t.takeOutcome(from)
	}
	if c.Parts&spec.PartChildren != 0 {
		t.children = from.Children
		t.sums.children = childrenSum(from)
	}
}

func (t *task) takeOutcome(from *spec.Task) {
	t.sums.outcome = outcomeSum(from)
	o := from.Outcome
	if o == nil {
		t.order, t.decider, t.claim, t.failed, t.byCancel = 0, 0, 0, false, false
		t.shown.result, t.shown.failure, t.shown.body, t.shown.farResult = 0, 0, 0, false
		return
	}
	t.order, t.decider, t.claim, t.failed = o.Order, o.Attempt, o.Claim, o.Failure != nil
	t.byCancel = t.cancelled && o.Failure.Cause() == spec.CauseCancelled
	t.shown.failure = failureMeaning(o.Failure)
	t.shown.result = resultMeaning(o.Body)
	t.shown.body, t.shown.farResult = checksum(o.Body), !o.Stored.IsZero()
	if t.shown.farResult {
		t.shown.body = checksum(o.Stored.Digest[:])
	}
}

func leaseOf(l *spec.Lease) lease {
	if l == nil {
		return lease{}
	}
	return lease{
		attempt: l.Attempt, claim: l.Claim, worker: l.Worker, boot: l.Boot, class: l.Class, since: l.Since, gpus: l.GPUs, perHour: l.PerHour,
	}
}

// sumsOf returns the sums of a whole task, as the mirror holds it.
func sumsOf(t *spec.Task) sums {
	s := sums{state: sumOf(t, 0), origin: originSum(t)}
	if t.Outcome != nil {
		s.outcome = outcomeSum(t)
	}
	if len(t.Children) > 0 {
		s.children = childrenSum(t)
	}
	return s
}

// differs names the part in which two tasks differ; "" when they do not.
func (s sums) differs(other sums) string {
	switch {
	case s.origin != other.origin:
		return "its spec"
	case s.state != other.state:
		return "its state"
	case s.outcome != other.outcome:
		return "its outcome"
	case s.children != other.children:
		return "its children"
	}
	return ""
}

func originSum(t *spec.Task) uint64 {
	return sumOf(&spec.Task{Spec: t.Spec, Parent: t.Parent, Purse: t.Purse, Seq: t.Seq, Submitted: t.Submitted}, spec.PartSpec)
}

func outcomeSum(t *spec.Task) uint64 {
	return sumOf(&spec.Task{Spec: spec.TaskSpec{ID: t.Spec.ID}, Outcome: t.Outcome}, spec.PartOutcome)
}

func childrenSum(t *spec.Task) uint64 {
	return sumOf(&spec.Task{Spec: spec.TaskSpec{ID: t.Spec.ID}, Children: t.Children}, spec.PartChildren)
}

// sumOf is a checksum of parts of a task in the form of a record, so that no field is forgotten.
func sumOf(t *spec.Task, parts spec.ChangeParts) uint64 {
	form, err := bus.AppendChange(nil, spec.Change{Task: t, Parts: parts})
	if err != nil {
		return 0 // only a task without an id, which no record holds
	}
	return checksum(form)
}

// checksum is FNV-1a; 0 for nothing.
func checksum(data []byte) uint64 {
	if len(data) == 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(data) // never fails
	return max(1, h.Sum64())
}

// meaning is a checksum of a JSON object that is the same for all texts of the same meaning.
func meaning(object []byte) uint64 { return spec.TaskSpec{Payload: object}.ContentHash() }

func failureMeaning(f *spec.FailureRecord) uint64 {
	if f == nil {
		return 0
	}
	return meaning(f.AppendJSON(nil))
}

// resultMeaning is the meaning of {"metrics": ..., "output": ...} as the tree shows a result; 0 when it shows none.
func resultMeaning(body []byte) uint64 {
	if len(body) == 0 {
		return 0
	}
	r, err := bus.DecodeResult(body)
	if err != nil || len(r.Metrics) == 0 && len(r.Output) == 0 {
		return 0
	}
	metrics := make(map[string]any, len(r.Metrics))
	for name, value := range r.Metrics {
		metrics[name] = value
	}
	text, err := spec.EncodeValue(metrics)
	if err != nil {
		return 0 // numbers always have a form
	}
	fields := []spec.Field{{Name: "metrics", Value: text}}
	if len(r.Output) > 0 {
		fields = append(fields, spec.Field{Name: "output", Value: r.Output})
	}
	return meaning(spec.EncodeFields(fields))
}
