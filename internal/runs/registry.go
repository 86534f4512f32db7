package runs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"autoresearch/pkg/api"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

var _ api.Registry = (*Server)(nil)

// List implements api.Registry.
func (s *Server) List() []api.Registered {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]api.Registered, 0, len(s.seen))
	for _, e := range s.seen {
		r := api.Registered{Entry: entryOf(e)}
		if served := s.served[e.Name]; served != nil && !e.Archived {
			r.Trouble = served.broken()
		}
		list = append(list, r)
	}
	return list
}

// broken says why a run can have no coordinator; "" when it has one, or will have.
func (r *served) broken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble == notStarted {
		return ""
	}
	return r.trouble
}

// Create implements api.Registry.
func (s *Server) Create(ctx context.Context, r api.RunRequest, by string) (created bool, err error) {
	e := kv.RunEntry{
		Name: r.Name, ID: newID(), Workflow: r.Workflow, Args: r.Args, Dir: r.Dir, Budget: r.Budget, Weight: r.Weight,
		CreatedBy: by, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	if err := check(e); err != nil {
		return false, api.NewProblem(api.CodeWorkflow, "%v", err)
	}
	if err := s.registry.Ensure(ctx); err != nil {
		return false, passing(err)
	}
	known, err := s.registry.Get(ctx, e.Name)
	switch {
	case err == nil && same(known, e):
		s.awaitLed(ctx, known)
		return false, nil
	case err == nil:
		return false, api.NewProblem(api.CodeRunExists, "run %q is registered with another workflow or other settings", e.Name)
	case !errors.Is(err, bus.ErrMissing):
		return false, passing(err)
	}
	if err := s.unused(ctx, e.Name); err != nil {
		return false, err
	}
	e.Revision = known.Revision
	if _, err := s.registry.Put(ctx, e); err != nil {
		return false, passing(err)
	}
	s.awaitLed(ctx, e)
	return true, nil
}

// unused refuses the name of a run that is kept on the server and not registered: it is one of a coordinator with a
// workflow of its own.
func (s *Server) unused(ctx context.Context, name spec.RunName) error {
	_, err := bus.NewJournal(s.o.Conn, name, s.o.Common.Streams).Bounds(ctx)
	switch {
	case err == nil:
		return api.NewProblem(api.CodeRunExists, "the server keeps a run %q already, of a coordinator with --workflow", name)
	case errors.Is(err, bus.ErrMissing):
		return nil
	}
	return passing(err)
}

func newID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// same reports whether two entries ask for the same run with the same settings.
func same(a, b kv.RunEntry) bool {
	return a.Workflow == b.Workflow && slices.Equal(a.Args, b.Args) && a.Dir == b.Dir && a.Budget == b.Budget && a.Weight == b.Weight
}

// passing is an error of the registry as those who ask should see it.
func passing(err error) error {
	switch {
	case errors.Is(err, kv.ErrTaken):
		return api.NewProblem(api.CodeChanged, "%v", err)
	case bus.Passing(err):
		return api.NewProblem(api.CodeBusy, "%v", err)
	}
	return err
}

// ledPoll is how often a new run is looked at.
const ledPoll = 20 * time.Millisecond

// ledMax bounds how long a run is waited for: one that is registered is led some time all the same.
const ledMax = 10 * time.Second

// awaitLed waits until a run is led, here or elsewhere, or is in trouble.
func (s *Server) awaitLed(ctx context.Context, e kv.RunEntry) {
	ctx, cancel := context.WithTimeout(ctx, ledMax)
	defer cancel()
	for ctx.Err() == nil {
		s.mu.Lock()
		r := s.served[e.Name]
		s.mu.Unlock()
		if r != nil && r.entry.ID == e.ID && same(r.entry, e) && r.settled() {
			return
		}
		wait(ctx, ledPoll)
	}
}

// settled reports whether it is known what becomes of a run.
func (r *served) settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		return r.trouble != notStarted
	}
	l := r.current.Leader()
	return l.Here || l.Known
}

// Archive implements api.Registry.
func (s *Server) Archive(ctx context.Context, run spec.RunName, on bool, by, reason string) error {
	e, err := s.entry(ctx, run)
	if err != nil || e.Archived == on {
		return err
	}
	e.Archived = on
	sign(&e, by, reason)
	if _, err := s.registry.Put(ctx, e); err != nil {
		return passing(err)
	}
	if !on {
		s.awaitLed(ctx, e)
		return nil
	}
	return s.awaitSeen(ctx, run, func(seen kv.RunEntry, known bool) bool { return known && seen.Archived })
}

func (s *Server) entry(ctx context.Context, run spec.RunName) (kv.RunEntry, error) {
	e, err := s.registry.Get(ctx, run)
	if errors.Is(err, bus.ErrMissing) {
		return e, api.NewProblem(api.CodeUnknownRun, "no run %q is registered", run)
	}
	if err != nil {
		return e, passing(err)
	}
	return e, nil
}

// awaitSeen waits until this process knows of a change, and has taken the run up or let it go.
func (s *Server) awaitSeen(ctx context.Context, run spec.RunName, seen func(e kv.RunEntry, known bool) bool) error {
	ctx, cancel := context.WithTimeout(ctx, seenMax)
	defer cancel()
	for ctx.Err() == nil {
		s.mu.Lock()
		i := slices.IndexFunc(s.seen, func(e kv.RunEntry) bool { return e.Name == run })
		ok := i < 0 && seen(kv.RunEntry{}, false) || i >= 0 && seen(s.seen[i], true)
		ok = ok && (s.served[run] != nil) == (i >= 0 && !s.seen[i].Archived)
		s.mu.Unlock()
		if ok {
			return nil
		}
		wait(ctx, ledPoll)
	}
	return nil // it is written: it will be seen
}

// seenMax bounds how long a change waits for this process to have seen it: longer than a term takes for its last files.
const seenMax = 30 * time.Second

// Delete implements api.Registry. The entry goes last, so that what was cut off in the middle can be asked for again.
func (s *Server) Delete(ctx context.Context, run spec.RunName) error {
	e, err := s.entry(ctx, run)
	if err != nil {
		return err
	}
	if !e.Archived {
		return api.NewProblem(api.CodeRunActive, "run %q is not archived", run)
	}
	s.mu.Lock()
	served := s.served[run]
	s.mu.Unlock()
	if served != nil {
		return api.NewProblem(api.CodeBusy, "run %q is still being let go", run)
	}
	if _, _, held, err := s.lease().Holder(ctx, run); err == nil && held {
		return api.NewProblem(api.CodeBusy, "run %q is still being let go by the coordinator that led it", run)
	}
	if err := errors.Join(s.notices.Delete(ctx, run), s.o.Conn.DeleteRun(ctx, run, s.o.Common.Streams)); err != nil {
		return passing(fmt.Errorf("delete run %q: %w", run, err))
	}
	if err := os.RemoveAll(s.workdir(e)); err != nil {
		s.o.Log.Warn("remove the workdir of a run that was deleted", "run", run, "err", err)
	}
	if err := s.registry.Remove(ctx, e); err != nil {
		return passing(err)
	}
	return s.awaitSeen(ctx, run, func(_ kv.RunEntry, known bool) bool { return !known })
}

func (s *Server) lease() kv.Lease {
	return kv.NewLease(s.o.Conn, kv.LeaseOptions{TTL: s.o.Common.LeaderTTL, Replicas: s.o.Common.Streams.Replicas})
}

// Files implements api.Registry.
func (s *Server) Files(ctx context.Context, run spec.RunName) (io.ReadCloser, error) {
	if _, err := s.entry(ctx, run); err != nil {
		return nil, err
	}
	files, err := s.files.Get(ctx, run)
	if errors.Is(err, bus.ErrMissing) {
		return nil, api.NewProblem(api.CodeNoFiles, "run %q has no files yet", run)
	}
	return files, err
}
