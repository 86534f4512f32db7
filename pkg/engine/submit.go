package engine

import (
	"fmt"
	"math"

	"autoresearch/pkg/spec"
)

// submit takes specs from outside: a caller, or a file.
func (e *Engine) submit(now Now, ev Submit) {
	reply := Reply{Ref: ev.Ref, Errs: make([]error, len(ev.Specs)), Added: make([]bool, len(ev.Specs))}
	act := spec.Act{Kind: spec.ActSubmit, Origin: ev.RetryOf}
	if ev.RetryOf != "" {
		act.Kind = spec.ActRetry
	}
	for i, ts := range ev.Specs {
		reply.Added[i], reply.Errs[i] = e.accept(now, ts, ev.Source)
		if !reply.Added[i] {
			continue
		}
		if reply.Count++; act.Task == "" {
			act.Task = ts.ID
		}
	}
	e.acted(now, ev.Asked, reply.Count, act)
	if ev.Ref != 0 {
		e.out.Replies = append(e.out.Replies, reply)
	}
}

// accept adds one spec unless it is known; it reports whether it did.
func (e *Engine) accept(now Now, ts spec.TaskSpec, source Source) (added bool, err error) {
	if err := e.check(ts); err != nil {
		return false, err
	}
	found, same := e.recognise(ts)
	above := e.tasks.of(ts.Parent)
	if !found {
		if err := e.checkPlace(ts, above); err != nil {
			return false, err
		}
	}
	switch {
	case !found:
	case same:
		e.counts.Duplicates++
		return false, nil
	case source == SourceFile:
		renamed, taken := e.freeID(ts)
		if taken {
			e.counts.Duplicates++
			return false, nil
		}
		e.out.Renames = append(e.out.Renames, Rename{From: ts.ID, To: renamed})
		ts.ID = renamed
	default:
		return false, fmt.Errorf("task %q: %w", ts.ID, ErrDuplicateID)
	}
	e.add(now, ts, ts.Parent, above)
	return true, nil
}

// check refuses a spec that breaks a rule.
func (e *Engine) check(ts spec.TaskSpec) error {
	if ts.ID == "" {
		return fmt.Errorf("%w: id is empty", ErrInvalidSpec)
	}
	if math.IsNaN(ts.Priority) {
		return fmt.Errorf("task %q: %w: priority is NaN", ts.ID, ErrInvalidSpec)
	}
	if _, err := ts.Allowance(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidSpec, err)
	}
	if size, limit := max(int64(len(ts.Payload)), ts.Stored.Size), e.cfg.MaxPayload; size > limit {
		return fmt.Errorf("task %q: %w: its payload takes %d bytes, the limit is %d (limits.payload): leave large data in files",
			ts.ID, ErrTooLarge, size, limit)
	}
	if size, limit := SizeOf(ts), e.cfg.MaxSpecSize; limit > 0 && size > limit {
		return fmt.Errorf("task %q: %w: it takes %d bytes, the limit is %d: make it smaller, and leave large data in files",
			ts.ID, ErrTooLarge, size, limit)
	}
	return nil
}

// pursesMax is how many allowances one task may draw on.
const pursesMax = 16

// checkPlace refuses a task that would stand too deep in the tree, or draw on too many allowances.
func (e *Engine) checkPlace(ts spec.TaskSpec, above known) error {
	if p := e.purseBelow(above); p.level >= pursesMax {
		if allowed, err := ts.Allowance(); err == nil && !allowed.IsZero() {
			return fmt.Errorf("task %q: %w: %d tasks above it have an allowance, and no more may", ts.ID, ErrTooDeep, p.level)
		}
	}
	if depth := above.depth() + 1; int(depth) > e.cfg.MaxDepth {
		return fmt.Errorf("task %q: %w: at level %d, the limit is %d (limits.depth)", ts.ID, ErrTooDeep, depth, e.cfg.MaxDepth)
	}
	return nil
}

// SizeOf is about how many bytes a spec takes in a record.
func SizeOf(ts spec.TaskSpec) int {
	size := len(ts.ID) + len(ts.Kind) + len(ts.Parent) + inline(ts.Payload, ts.Stored)
	if !ts.Code.IsZero() {
		size += codeSize
	}
	for _, f := range ts.Extra {
		size += len(f.Name) + len(f.Value)
	}
	return size
}

// codeSize is how many bytes of a record the name of a source tree takes, at most.
const codeSize = 128

// inline is how many bytes of a record data takes, or the name of the blob that holds it.
func inline(data []byte, stored spec.Blob) int {
	if stored.IsZero() {
		return len(data)
	}
	return len(stored.Digest) + 8
}

// recognise reports whether the id is known and whether its content is the same.
func (e *Engine) recognise(ts spec.TaskSpec) (found, same bool) {
	k := e.find(ts.ID)
	switch {
	case k.live != nil:
		return true, k.live.Spec.SameContent(ts)
	case k.done != nil:
		return true, k.done.hash == ts.ContentHash()
	}
	return false, false
}

// renames is what was given out, or found, of the names id~2, id~3, ... of one id.
type renames struct {
	next    int             // the first number not looked at
	content map[uint64]bool // of the tasks with a lower one
}

// freeID returns the first of id~2, id~3, ... that no task has, or reports that one of them is this very spec already: a
// file loaded again after a crash is not doubled.
func (e *Engine) freeID(ts spec.TaskSpec) (id spec.TaskID, taken bool) {
	r, ok := e.renames[ts.ID]
	if !ok {
		r = &renames{next: 2, content: make(map[uint64]bool)}
		e.renames[ts.ID] = r
	}
	content := ts.ContentHash()
	for !r.content[content] {
		id = spec.TaskID(fmt.Sprintf("%s~%d", ts.ID, r.next))
		r.next++
		k := e.find(id)
		if k == (known{}) {
			r.content[content] = true
			return id, false
		}
		r.content[k.contentHash()] = true
	}
	return "", true
}

func (k known) contentHash() uint64 {
	if k.live != nil {
		return k.live.Spec.ContentHash()
	}
	return k.done.hash
}

// add creates the task of a spec that is new, below parent in the tree, which is above if it is known.
func (e *Engine) add(now Now, ts spec.TaskSpec, parent spec.TaskID, above known) {
	t := newTask(ts, parent, e.meta.NextSeq, now)
	e.meta.NextSeq++
	t.number = e.tasks.add(ts.ID)
	e.tasks.at(t.number).live = t
	t.policy = e.policyOf(ts.Kind)
	e.touch(t)
	e.maybeRun()
	switch {
	case e.hang(t, above):
		t.edit().Cancelled = true
		e.decide(now, t, verdict{failure: cancelledFailure("a task above it was cancelled")})
		e.retire(now, t) // without the hook: it might return another child, born cancelled too, and so for ever
	case t.policy.class == nil:
		e.conclude(now, t, verdict{failure: unknownKind(ts.Kind)})
	default:
		t.edit().State = spec.StateQueued
		e.enter(now, t)
	}
}

// hang gives a new task its place in the tree and reports whether its parent was cancelled: then it is born cancelled.
// Its children may have come before it; a parent that would close a circle, as the task itself would, is dropped.
func (e *Engine) hang(t *task, above known) (cancelled bool) {
	if e.tasks.isAbove(t.number, t.Parent) {
		t.edit().Parent = ""
		above = known{}
	}
	p := e.purseBelow(above)
	t.edit().Purse = p.root
	t.purse = e.open(&t.Spec, p)
	e.tasks.adopt(t.Parent, t.number)
	t.depth = above.depth() + 1
	return above.cancelled()
}

func unknownKind(kind string) *spec.FailureRecord {
	return &spec.FailureRecord{
		Kind: spec.LaunchFailed, Phase: spec.PhaseLaunch,
		Message: fmt.Sprintf("no kind %q: list it under kinds, or a kind named default", kind),
		Details: map[string]any{"cause": spec.CauseUnknownKind},
	}
}

func cancelledFailure(message string) *spec.FailureRecord {
	return &spec.FailureRecord{
		Kind: spec.Interrupted, Phase: spec.PhaseRunner, Message: message,
		Details: map[string]any{"cause": spec.CauseCancelled},
	}
}

// loaded ends the loading of the first specs.
func (e *Engine) loaded(ev Loaded) {
	if !e.meta.Loaded || e.meta.ImportHash != ev.Hash {
		e.meta.Loaded, e.meta.ImportHash = true, ev.Hash
		e.metaDirty = true
	}
}
