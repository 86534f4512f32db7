package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// packing is a workflow whose tasks bring code, another version each time.
type packing struct {
	*tree
	mu       sync.Mutex
	versions int
	ran      map[spec.TaskID]spec.Code
}

func (p *packing) PackCode(_ context.Context, kind string) ([]byte, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.versions++
	return fmt.Appendf(nil, "version %d of %s", p.versions, kind), "c0ffee", nil
}

func (p *packing) note(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
	p.mu.Lock()
	p.ran[a.Task.ID] = a.Task.Code
	p.mu.Unlock()
	return p.grow(ctx, a)
}

// Tasks run the code that was there when they were submitted, and it is kept for as long as they name it.
func TestCodeIsPinnedWhenTasksAreSubmitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := &packing{tree: newTree(2, 1), ran: map[spec.TaskID]spec.Code{}}
	w.work(2, p.note)
	c := w.coordinate(p, nil)
	if end := c.wait(t); end.err != nil || end.status.Counts.Completed != 3 {
		t.Fatalf("ended with %+v, %v", end.status, end.err)
	}
	versions := map[spec.Code]int{}
	for id, code := range p.ran {
		if code.IsZero() || code.Commit != "c0ffee" {
			t.Errorf("task %s ran %+v", id, code)
		}
		if _, err := bus.NewObjects(w.conn, w.run, bus.StreamOptions{}).Get(t.Context(), code.Bundle, 100); err != nil {
			t.Errorf("the code of task %s: %v", id, err)
		}
		versions[code]++
	}
	if len(versions) != 2 { // the root's, and that of what followed from its result
		t.Errorf("%d versions: %v", len(versions), versions)
	}
}

// What a task names is kept by the sweep of blobs.
func TestTheLedgerNamesCode(t *testing.T) {
	t.Parallel()
	g := newLedger(spec.Objective{}, nil)
	code := spec.Code{Bundle: spec.BlobOf([]byte("tree"))}
	g.restore([]*folded{{task: &spec.Task{Spec: spec.TaskSpec{ID: "a", Code: code}, State: spec.StateQueued}}})
	if !g.blobs()[code.Bundle.Digest] {
		t.Error("a bundle that a task names would be swept")
	}
}

var errNoCode = errors.New("the directory is gone")

// unpackable is a workflow whose code cannot be had.
type unpackable struct{ *tree }

func (unpackable) PackCode(context.Context, string) ([]byte, string, error) {
	return nil, "", errNoCode
}

// A run whose first tasks have no code does not begin, and says why.
func TestCodeThatCannotBeHad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if end := w.coordinate(unpackable{newTree(0, 0)}, nil).wait(t); !errors.Is(end.err, errNoCode) {
		t.Errorf("ended with %v", end.err)
	}
}
