package bus

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"autoresearch/pkg/spec"
)

// taskSpec writes a TaskSpec:
// i id, p priority, k kind, d payload (its JSON text) or D the blob that holds it, c code, r parent, x unknown JSON keys.
func (w *wire) taskSpec(s *spec.TaskSpec) {
	mark := w.openMap()
	fieldText(w, "i", s.ID)
	w.specBody(s)
	w.closeMap(mark)
}

// specBody writes all of a spec but its id.
func (w *wire) specBody(s *spec.TaskSpec) {
	w.fieldFloat("p", s.Priority)
	fieldText(w, "k", s.Kind)
	if s.Stored.IsZero() {
		fieldBytes(w, "d", s.Payload)
	}
	w.fieldBlob("D", s.Stored)
	w.fieldCode("c", s.Code)
	fieldText(w, "r", s.Parent)
	w.fieldExtra("x", s.Extra)
}

func (c *cursor) taskSpec() (s spec.TaskSpec) {
	c.specFields(&s)
	c.checkID(&s)
	return s
}

func (c *cursor) checkID(s *spec.TaskSpec) {
	if s.ID == "" {
		c.fail("a task spec without an id")
	}
}

func (c *cursor) specFields(s *spec.TaskSpec) {
	c.fields(nil, func(key []byte) bool { return c.specField(s, key) })
}

func (c *cursor) specField(s *spec.TaskSpec, key []byte) bool {
	switch string(key) {
	case "i":
		s.ID = spec.TaskID(c.text())
	case "p":
		s.Priority = c.float()
	case "k":
		s.Kind = c.kind()
	case "d":
		s.Payload = spec.Payload(c.bytes())
	case "D":
		s.Stored = c.blob()
	case "c":
		s.Code = c.codeName()
	case "r":
		s.Parent = spec.TaskID(c.text())
	case "x":
		s.Extra = c.extra()
	default:
		return false
	}
	return true
}

// kind reads a kind. That of most tasks takes no memory of its own.
func (c *cursor) kind() string {
	raw := c.raw()
	if string(raw) == spec.KindDefault {
		return spec.KindDefault
	}
	return string(raw)
}

// change writes a Change as one map. The state half: i id, P parts, s state, p priority, a attempt, f failures, l lost,
// e preempted, h losses, z closed, c cancelled, n interrupted, b not before, L lease, u spent, t1 started, t2 ended, and what a newer version wrote.
// PartSpec adds S spec without its id, r parent, w purse, q arrival number, t0 submitted; PartOutcome O; PartChildren C.
func (w *wire) change(c Change) {
	t := c.Task
	mark := w.openMap()
	fieldText(w, "i", t.Spec.ID)
	fieldUint(w, "P", c.Parts)
	w.taskState(t)
	if c.Parts&PartSpec != 0 {
		w.taskOrigin(t)
	}
	if c.Parts&PartOutcome != 0 && t.Outcome != nil {
		w.key("O")
		w.outcome(t.Outcome)
	}
	if c.Parts&PartChildren != 0 {
		fieldTexts(w, "C", t.Children)
	}
	w.unknown(t.Unknown)
	w.closeMap(mark)
}

func (w *wire) taskState(t *spec.Task) {
	fieldUint(w, "s", t.State)
	w.fieldFloat("p", t.Priority)
	fieldUint(w, "a", t.Attempt)
	fieldUint(w, "f", t.Failures)
	fieldUint(w, "l", t.Lost)
	fieldUint(w, "e", t.Preempted)
	fieldList(w, "h", t.Losses, (*wire).loss)
	fieldUint(w, "z", t.Closed)
	w.fieldBool("c", t.Cancelled)
	w.fieldBool("n", t.Interrupted)
	fieldInt(w, "b", t.NotBefore)
	if t.Lease != nil {
		w.key("L")
		w.lease(t.Lease)
	}
	w.fieldSpent("u", t.Spent)
	fieldInt(w, "t1", t.Started)
	fieldInt(w, "t2", t.Ended)
}

func (w *wire) taskOrigin(t *spec.Task) {
	w.key("S")
	mark := w.openMap()
	w.specBody(&t.Spec)
	w.closeMap(mark)
	fieldText(w, "r", t.Parent)
	fieldText(w, "w", t.Purse)
	fieldUint(w, "q", t.Seq)
	fieldInt(w, "t0", t.Submitted)
}

func (c *cursor) change() Change {
	change := Change{Task: &spec.Task{}}
	t := change.Task
	c.fields(&t.Unknown, func(key []byte) bool {
		if string(key) == "P" {
			change.Parts = ChangeParts(c.uint(math.MaxUint8))
			return true
		}
		return c.taskStateField(t, key) || c.taskPartField(t, key)
	})
	switch {
	case t.Spec.ID == "":
		c.fail("a change without a task id")
	case t.State < spec.StateQueued || t.State > spec.StateFailed:
		c.fail("task %q: unknown state %d", t.Spec.ID, t.State)
	}
	return change
}

func (c *cursor) taskStateField(t *spec.Task, key []byte) bool {
	switch string(key) {
	case "i":
		t.Spec.ID = spec.TaskID(c.text())
	case "s":
		t.State = spec.TaskState(c.uint(math.MaxUint8))
	case "p":
		t.Priority = c.float()
	case "a":
		t.Attempt = c.uint32()
	case "f":
		t.Failures = c.uint32()
	case "l":
		t.Lost = c.uint32()
	case "e":
		t.Preempted = c.uint32()
	case "h":
		t.Losses = list(c, c.loss)
	case "z":
		t.Closed = c.uint32()
	case "c":
		t.Cancelled = c.bool()
	case "n":
		t.Interrupted = c.bool()
	case "b":
		t.NotBefore = spec.EngineTime(c.int())
	case "L":
		t.Lease = c.lease()
	case "u":
		t.Spent = c.spent()
	case "t1":
		t.Started = spec.WallTime(c.int())
	case "t2":
		t.Ended = spec.WallTime(c.int())
	default:
		return false
	}
	return true
}

func (c *cursor) taskPartField(t *spec.Task, key []byte) bool {
	switch string(key) {
	case "S":
		id := t.Spec.ID
		c.specFields(&t.Spec)
		t.Spec.ID = id
	case "r":
		t.Parent = spec.TaskID(c.text())
	case "w":
		t.Purse = spec.TaskID(c.text())
	case "q":
		t.Seq = c.uint64()
	case "t0":
		t.Submitted = spec.WallTime(c.int())
	case "O":
		t.Outcome = c.outcome()
	case "C":
		t.Children = list(c, func() spec.TaskID { return spec.TaskID(c.text()) })
	default:
		return false
	}
	return true
}

// loss writes a Loss: a attempt, w worker, b boot, t at, h heard, p progress.
func (w *wire) loss(l *spec.Loss) {
	mark := w.openMap()
	fieldUint(w, "a", l.Attempt)
	fieldText(w, "w", l.Worker)
	fieldUint(w, "b", l.Boot)
	fieldInt(w, "t", l.At)
	fieldInt(w, "h", l.Heard)
	fieldText(w, "p", l.Progress)
	w.closeMap(mark)
}

func (c *cursor) loss() (l spec.Loss) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "a":
			l.Attempt = c.uint32()
		case "w":
			l.Worker = spec.WorkerID(c.text())
		case "b":
			l.Boot = c.uint64()
		case "t":
			l.At = spec.WallTime(c.int())
		case "h":
			l.Heard = spec.WallTime(c.int())
		case "p":
			l.Progress = c.text()
		default:
			return false
		}
		return true
	})
	if l.Attempt == 0 {
		c.fail("a loss of no attempt")
	}
	return l
}

// fieldSpent writes Spent unless it is nothing: l lease time, g GPU time, c cost, r reported cost.
func (w *wire) fieldSpent(key string, s spec.Spent) {
	if s.IsZero() {
		return
	}
	w.key(key)
	mark := w.openMap()
	fieldInt(w, "l", s.LeaseTime)
	fieldInt(w, "g", s.GPUTime)
	fieldInt(w, "c", s.Cost)
	fieldInt(w, "r", s.Reported)
	w.closeMap(mark)
}

func (c *cursor) spent() (s spec.Spent) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "l":
			s.LeaseTime = time.Duration(c.uint(math.MaxInt64))
		case "g":
			s.GPUTime = time.Duration(c.uint(math.MaxInt64))
		case "c":
			s.Cost = spec.Cost(c.uint(math.MaxInt64))
		case "r":
			s.Reported = spec.Cost(c.uint(math.MaxInt64))
		default:
			return false
		}
		return true
	})
	return s
}

// lease writes a Lease: a attempt, c claim, w worker, b boot, k class, u until, v avoid, s since, g GPUs, p price per hour.
func (w *wire) lease(l *spec.Lease) {
	mark := w.openMap()
	fieldUint(w, "a", l.Attempt)
	fieldUint(w, "c", l.Claim)
	fieldText(w, "w", l.Worker)
	fieldUint(w, "b", l.Boot)
	fieldText(w, "k", l.Class)
	fieldInt(w, "u", l.Until)
	fieldText(w, "v", l.Avoid)
	fieldInt(w, "s", l.Since)
	fieldInt(w, "g", l.GPUs)
	fieldInt(w, "p", l.PerHour)
	w.closeMap(mark)
}

func (c *cursor) lease() *spec.Lease {
	l := &spec.Lease{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "a":
			l.Attempt = c.uint32()
		case "c":
			l.Claim = spec.ClaimID(c.uint64())
		case "w":
			l.Worker = spec.WorkerID(c.text())
		case "b":
			l.Boot = c.uint64()
		case "k":
			l.Class = c.text()
		case "u":
			l.Until = spec.EngineTime(c.int())
		case "v":
			l.Avoid = spec.WorkerID(c.text())
		case "s":
			l.Since = spec.EngineTime(c.uint(math.MaxInt64))
		case "g":
			l.GPUs = int(c.uint(spec.GPUsMax))
		case "p":
			l.PerHour = spec.Cost(c.uint(math.MaxInt64))
		default:
			return false
		}
		return true
	})
	return l
}

// outcome writes an Outcome: o order, a attempt, c claim, f failure, b body or B the blob that holds it.
func (w *wire) outcome(o *spec.Outcome) {
	mark := w.openMap()
	fieldUint(w, "o", o.Order)
	fieldUint(w, "a", o.Attempt)
	fieldUint(w, "c", o.Claim)
	w.fieldFailure("f", o.Failure)
	w.body(o.Body, o.Stored)
	w.closeMap(mark)
}

func (c *cursor) outcome() *spec.Outcome {
	o := &spec.Outcome{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "o":
			o.Order = c.uint64()
		case "a":
			o.Attempt = c.uint32()
		case "c":
			o.Claim = spec.ClaimID(c.uint64())
		case "f":
			o.Failure = c.failure()
		case "b":
			o.Body = c.bytes()
		case "B":
			o.Stored = c.blob()
		default:
			return false
		}
		return true
	})
	return o
}

// body writes a result, or the name of the blob that holds it.
func (w *wire) body(body []byte, stored spec.Blob) {
	if stored.IsZero() {
		fieldBytes(w, "b", body)
	}
	w.fieldBlob("B", stored)
}

// fieldFailure writes a FailureRecord: k kind, p phase, m message, r retryable, d details (a map of JSON texts),
// e exception type, j job id, t created at, x unknown JSON keys.
func (w *wire) fieldFailure(key string, f *spec.FailureRecord) {
	if f == nil {
		return
	}
	w.key(key)
	mark := w.openMap()
	fieldText(w, "k", f.Kind)
	fieldText(w, "p", f.Phase)
	fieldText(w, "m", f.Message)
	w.fieldBool("r", f.Retryable)
	w.fieldDetails("d", f.Details)
	fieldText(w, "e", f.ExceptionType)
	fieldText(w, "j", f.JobID)
	fieldText(w, "t", f.CreatedAt)
	w.fieldExtra("x", f.Extra)
	w.closeMap(mark)
}

// fieldDetails writes each detail as JSON text. A value that has no JSON form (user code may put anything there) is
// written as the text fmt makes of it: a failure record must always reach the journal.
func (w *wire) fieldDetails(key string, details map[string]any) {
	if details == nil {
		return
	}
	w.key(key)
	w.mapLen(len(details))
	for _, name := range slices.Sorted(maps.Keys(details)) {
		w.text(name)
		text, err := spec.EncodeValue(details[name])
		if err != nil {
			text, err = spec.EncodeValue(fmt.Sprint(details[name]))
		}
		if err != nil {
			text = []byte("null")
		}
		w.bytes(text)
	}
}

func (c *cursor) failure() *spec.FailureRecord {
	f := &spec.FailureRecord{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "k":
			f.Kind = spec.FailureKind(c.text())
		case "p":
			f.Phase = spec.FailurePhase(c.text())
		case "m":
			f.Message = c.text()
		case "r":
			f.Retryable = c.bool()
		case "d":
			f.Details = c.details()
		case "e":
			f.ExceptionType = c.text()
		case "j":
			f.JobID = c.text()
		case "t":
			f.CreatedAt = c.text()
		case "x":
			f.Extra = c.extra()
		default:
			return false
		}
		return true
	})
	return f
}

func (c *cursor) details() map[string]any {
	n := c.mapLen()
	details := make(map[string]any, min(n, 64))
	for ; n > 0 && c.err == nil; n-- {
		name := c.text()
		value, err := spec.DecodeValue(c.raw())
		if c.err == nil && err != nil {
			c.fail("detail %q: %v", name, err)
		}
		details[name] = value
	}
	return details
}
