package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// smallMessages is a server's bound of messages in tests of what is larger: 64 KiB.
const smallMessages = 64 << 10

// heavy returns a payload of about so many bytes.
func heavy(mark string, size int) spec.Payload {
	return spec.Payload(`{"mark":"` + mark + `","fill":"` + strings.Repeat("x", size) + `"}`)
}

// heavyTree is a workflow whose payloads and results exceed a message: a root, and two children of it.
type heavyTree struct {
	*tree
	input []byte
}

func (w *heavyTree) Load(context.Context) ([]spec.TaskSpec, error) {
	root := task("r")
	root.Payload = heavy("r", 4*smallMessages)
	return []spec.TaskSpec{root}, nil
}

// Recipe gives every task a standard input that exceeds a message too.
func (w *heavyTree) Recipe(spec.TaskSpec) (spec.Recipe, error) {
	return spec.Recipe{Argv: []string{"true"}, Stdin: w.input}, nil
}

// heavyRunner checks what it is given and returns as much.
func (w *heavyTree) heavyRunner(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	if !bytes.Contains(a.Task.Payload, []byte(`"mark":"`+a.Task.ID+`"`)) || len(a.Task.Payload) < 4*smallMessages {
		return spec.TaskResult{}, fmt.Errorf("task %s has a payload of %d bytes", a.Task.ID, len(a.Task.Payload))
	}
	if !bytes.Equal(a.Recipe.Stdin, w.input) {
		return spec.TaskResult{}, fmt.Errorf("an input of %d bytes", len(a.Recipe.Stdin))
	}
	r := spec.TaskResult{Output: []byte(heavy("output of "+string(a.Task.ID), 2*smallMessages))}
	for i := range 2 * (2 - len(a.Task.ID)) {
		child := task(fmt.Sprintf("%s%d", a.Task.ID, i))
		child.Payload = heavy(string(child.ID), 4*smallMessages)
		r.Children = append(r.Children, child)
	}
	return r, nil
}

func newHeavyTree() *heavyTree {
	return &heavyTree{tree: newTree(2, 1), input: bytes.Repeat([]byte("input"), smallMessages)}
}

// What exceeds a message runs as anything else does, is in the workdir's files whole, and is there again after a restart.
func TestLargerThanMessages(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, smallMessages)
	wf, dir := newHeavyTree(), t.TempDir()
	w.work(2, wf.heavyRunner)
	end := w.coordinate(wf, func(o *Options) { o.Workdir = dir }).wait(t)
	if end.err != nil || end.status.Counts.Completed != 3 {
		t.Fatalf("ended with %+v, %v", end.status, end.err)
	}
	w.stop()
	text, err := os.ReadFile(filepath.Join(dir, snapshot.EngineDir, treeFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"r", "r0", "r1"} {
		for _, mark := range []string{id, "output of " + id} {
			if !strings.Contains(string(text), `"`+mark+`"`) {
				t.Errorf("the tree lacks %q", mark)
			}
		}
	}
	again := w.coordinate(newHeavyTree(), func(o *Options) { o.ExitWhenStopped = false })
	eventually(t, "it leads", func() bool { role, _, _ := again.Readiness(); return role == RoleLeader })
	nodes, _ := again.current.ledger.nodes()
	for _, node := range nodes {
		if len(node.Spec) < 4*smallMessages || len(node.Result) < 2*smallMessages {
			t.Errorf("after a restart %s has a payload of %d bytes, a result of %d", node.NodeID, len(node.Spec), len(node.Result))
		}
	}
}

// A blob that is gone costs the tasks that need it, each with a reason, and no other.
func TestBlobsGone(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, smallMessages)
	first := w.coordinate(newTree(0, 0), func(o *Options) { o.ExitWhenStopped = false })
	eventually(t, "it leads", func() bool { role, _, _ := first.Readiness(); return role == RoleLeader })
	large := task("large")
	large.Payload = heavy("large", smallMessages)
	errs, added, err := first.Submit(t.Context(), []spec.TaskSpec{large, task("small")})
	if err := errors.Join(append(errs, err)...); err != nil || added != 2 {
		t.Fatalf("added %d: %v", added, err)
	}
	first.cancel()
	first.wait(t)
	if err := deleteStream(t.Context(), w.conn, bus.ObjectStream(bus.BucketArtifacts)); err != nil {
		t.Fatal(err)
	}
	w.work(2, newTree(0, 0).grow)
	second := w.coordinate(newTree(0, 0), func(o *Options) { o.ExitWhenStopped = false })
	eventually(t, "all ended", func() bool {
		s, err := second.Status()
		return err == nil && s.Counts.Completed == 2 && s.Counts.Failed == 1
	})
	failed, _ := second.current.ledger.task("large")
	if f := failed.Outcome.Failure; f.Cause() != spec.CauseBlobMissing || f.Kind != spec.LaunchFailed ||
		!strings.Contains(f.Message, failed.Spec.Stored.Digest.String()) {
		t.Errorf("filed as %+v", f)
	}
}

// A spec over a limit is refused with a reason that names the limit.
func TestLimitsOfSpecs(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, smallMessages)
	c := w.coordinate(newTree(0, 0), func(o *Options) {
		o.ExitWhenStopped, o.Limits = false, spec.SizeLimits{Payload: 2 * smallMessages, Depth: 2}
		o.Streams.ArtifactsMaxBytes = 2 * smallMessages
	})
	eventually(t, "it leads", func() bool { role, _, _ := c.Readiness(); return role == RoleLeader })
	over, deep, full := task("over"), task("deep"), task("full")
	over.Payload, full.Payload = heavy("over", 2*smallMessages), heavy("full", 2*smallMessages-100)
	child := task("child")
	child.Parent, deep.Parent = "parent", "child"
	errs, added, err := c.Submit(t.Context(), []spec.TaskSpec{task("parent"), child, over, deep, full})
	if err != nil || added != 2 {
		t.Fatalf("added %d: %v", added, err)
	}
	for i, want := range []struct {
		is   error
		says string
	}{{}, {}, {engine.ErrTooLarge, "limits.payload"}, {engine.ErrTooDeep, "limits.depth"}, {bus.ErrRefused, "could not be stored"}} {
		if want.is == nil && errs[i] == nil {
			continue
		}
		if want.is == nil || !errors.Is(errs[i], want.is) || !strings.Contains(errs[i].Error(), want.says) {
			t.Errorf("spec %d: %v", i+1, errs[i])
		}
	}
}

// tomorrow is a host whose clock is ahead.
type tomorrow struct{ host.Machine }

func (tomorrow) Now() time.Time { return time.Now().Add(blobSweepAge + time.Minute) }

// Only what no task names, and nobody put or got lately, is removed.
func TestSweepBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := bus.NewObjects(w.conn, w.run, bus.StreamOptions{})
	if err := store.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := newBlobs(store, func() int { return 0 }, quiet(t), tomorrow{})
	var blobs []spec.Blob
	for _, text := range []string{"orphan", "named", "recent"} {
		blob, err := store.Put(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, blob)
	}
	if _, err := b.get(t.Context(), blobs[2], 100); err != nil {
		t.Fatal(err)
	}
	err := b.sweep(t.Context(), func() (map[spec.Digest]bool, error) { return map[spec.Digest]bool{blobs[1].Digest: true}, nil })
	if err != nil {
		t.Fatal(err)
	}
	for i, blob := range blobs {
		_, err := store.Get(t.Context(), blob, 100)
		if gone := errors.Is(err, bus.ErrMissing); gone != (i == 0) {
			t.Errorf("blob %d: %v", i, err)
		}
	}
	today := newBlobs(store, b.inline, quiet(t), host.Machine{})
	err = today.sweep(t.Context(), func() (map[spec.Digest]bool, error) { return nil, nil })
	if _, gone := store.Get(t.Context(), blobs[2], 100); err != nil || gone != nil {
		t.Errorf("what is young was removed: %v, %v", err, gone)
	}
}
