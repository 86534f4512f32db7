package runs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"autoresearch/pkg/api"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// Entry implements api.Registry.
func (s *Server) Entry(ctx context.Context, run spec.RunName) (api.Entry, error) {
	e, err := s.entry(ctx, run)
	return entryOf(e), err
}

func entryOf(e kv.RunEntry) api.Entry {
	shown := api.Entry{
		Name: e.Name, Version: api.VersionText(e.Revision), Workflow: e.Workflow, Args: e.Args, Dir: e.Dir, Budget: e.Budget, Weight: e.Weight,
		Archived: e.Archived, CreatedBy: e.CreatedBy, CreatedAt: e.CreatedAt.UTC(), ChangedBy: e.ChangedBy, Reason: e.Reason,
	}
	if !e.ChangedAt.IsZero() {
		at := e.ChangedAt.UTC()
		shown.ChangedAt = &at
	}
	return shown
}

// Change implements api.Registry. Who leads the run ends its term and begins another, by which the change counts.
func (s *Server) Change(ctx context.Context, run spec.RunName, r api.EntryRequest, asked engine.Asked) (api.EntryAnswer, error) {
	known, err := s.entry(ctx, run)
	if err != nil {
		return api.EntryAnswer{}, err
	}
	if asked.Match != 0 && asked.Match != known.Revision {
		return api.EntryAnswer{}, api.NewProblem(api.CodeChanged, "what is registered of run %q was changed since it was read", run)
	}
	e := changed(known, r)
	answer := api.EntryAnswer{Changed: differences(known, e), DryRun: r.DryRun}
	if e.Workflow != known.Workflow || !slices.Equal(e.Args, known.Args) || e.Dir != known.Dir {
		if err := check(e); err != nil {
			return answer, api.NewProblem(api.CodeWorkflow, "%v", err)
		}
	}
	if len(answer.Changed) > 0 && !r.DryRun {
		if e, err = s.put(ctx, e, answer.Changed, asked); err != nil {
			return answer, err
		}
		s.awaitTaken(ctx, e)
	}
	answer.Entry = entryOf(e)
	return answer, nil
}

// changed is an entry after a change.
func changed(e kv.RunEntry, r api.EntryRequest) kv.RunEntry {
	e.Workflow, e.Args, e.Dir = *cmp.Or(r.Workflow, &e.Workflow), *cmp.Or(r.Args, &e.Args), *cmp.Or(r.Dir, &e.Dir)
	e.Budget, e.Weight = *cmp.Or(r.Budget, &e.Budget), *cmp.Or(r.Weight, &e.Weight)
	return e
}

// differences says in words what is other in b.
func differences(a, b kv.RunEntry) []string {
	list := []string{}
	say := func(differs bool, format string, args ...any) {
		if differs {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	number := func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }
	say(a.Workflow != b.Workflow, "workflow")
	say(!slices.Equal(a.Args, b.Args), "args %q -> %q", a.Args, b.Args)
	say(a.Dir != b.Dir, "dir %q -> %q", a.Dir, b.Dir)
	say(a.Budget != b.Budget, "budget %d -> %d", a.Budget, b.Budget)
	say(a.Weight != b.Weight, "weight %s -> %s", number(a.Weight), number(b.Weight))
	return list
}

// put writes a changed entry and has it said in the run's events, before its lead ends.
func (s *Server) put(ctx context.Context, e kv.RunEntry, what []string, asked engine.Asked) (_ kv.RunEntry, err error) {
	if err := s.take(ctx); err != nil {
		return e, err
	}
	defer s.release()
	sign(&e, asked.By, asked.Reason)
	if e.Revision, err = s.registry.Put(ctx, e); err != nil {
		return e, passing(err)
	}
	asked.Match = 0
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellMax) // it is changed, whoever has stopped waiting
	defer cancel()
	if err := s.tell(telling, e.Name, engine.Configured{What: strings.Join(what, ", "), Asked: asked}); err != nil {
		s.o.Log.Warn("a change of a run's settings is not among its events", "run", e.Name, "by", asked.By, "what", what, "err", err)
	}
	return e, nil
}

// tellMax bounds how long a change of one run may hold up others while its leader journals it.
const tellMax = 5 * time.Second

// sign says in an entry who changed it and why.
func sign(e *kv.RunEntry, by, reason string) {
	e.ChangedBy, e.ChangedAt, e.Reason = by, time.Now().UTC().Truncate(time.Millisecond), reason
}

// tell hands an event to the run if it is led here. Where nobody can lead it there are no events either.
func (s *Server) tell(ctx context.Context, run spec.RunName, ev engine.Event) error {
	s.mu.Lock()
	r := s.served[run]
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	c := r.current
	r.mu.Unlock()
	if c == nil {
		return nil
	}
	_, err := c.Steer(ctx, ev)
	return err
}

// awaitTaken waits until a changed entry counts.
func (s *Server) awaitTaken(ctx context.Context, e kv.RunEntry) {
	if e.Archived {
		_ = s.awaitSeen(ctx, e.Name, func(seen kv.RunEntry, known bool) bool { return !known || seen.Revision >= e.Revision }) // never fails
		return
	}
	s.awaitLed(ctx, e)
}
