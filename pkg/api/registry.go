package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// Registry keeps the runs that a NATS server's coordinators share. Its errors may be a *Problem.
type Registry interface {
	// List returns the registered runs, archived ones too.
	List() []Registered
	// Create registers a run and returns once it is led somewhere, or is known to be in trouble, or some seconds have passed.
	// The same again is no error: created is false then.
	Create(ctx context.Context, r RunRequest, by string) (created bool, err error)
	// Archive lets a run go, or with on false takes it up again, as Create does.
	Archive(ctx context.Context, run spec.RunName, on bool, by, reason string) error
	// Entry returns what is registered of a run.
	Entry(ctx context.Context, run spec.RunName) (Entry, error)
	// Change changes that, if it still has the version asked.Match unless that is 0, and returns once the run is led by it. The
	// answer's Run is left to the caller.
	Change(ctx context.Context, run spec.RunName, r EntryRequest, asked engine.Asked) (EntryAnswer, error)
	// Delete removes an archived run with all that it did.
	Delete(ctx context.Context, run spec.RunName) error
	// Files returns the files of the run's workdir as tar.gz, which the caller must close, as they were some seconds ago.
	Files(ctx context.Context, run spec.RunName) (io.ReadCloser, error)
}

// Registered is what the registry says of a run.
type Registered struct {
	Entry
	// Trouble is why this coordinator can neither lead it nor stand by; "" when it can.
	Trouble string
}

// SetRegistry makes the server answer for the runs that a registry keeps.
func (s *Server) SetRegistry(r Registry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry = r
}

// registered returns the registry, or a problem where there is none.
func (s *Server) registered() (Registry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.registry == nil {
		return nil, problem(CodeNoRegistry, "this server has one run, whose workflow it was started with")
	}
	return s.registry, nil
}

// entry finds a run in the registry.
func (s *Server) entry(name spec.RunName) (Registered, bool) {
	registry, err := s.registered()
	if err != nil {
		return Registered{}, false
	}
	list := registry.List()
	i := slices.IndexFunc(list, func(r Registered) bool { return r.Name == name })
	if i < 0 {
		return Registered{}, false
	}
	return list[i], true
}

// The roles of a run that no coordinator of this process is there for.
const (
	roleArchived = "archived"
	roleBroken   = "broken"
	roleStarting = "starting"
)

// note adds what the registry says of a run.
func (r Registered) note(run *Run) {
	run.Name, run.Weight, run.Archived, run.Trouble = r.Name, r.Weight, r.Archived, r.Trouble
	run.CreatedBy, run.CreatedAt, run.EntryVersion = r.CreatedBy, &r.CreatedAt, r.Version
	run.ChangedBy, run.ChangedAt, run.ChangeReason = r.ChangedBy, r.ChangedAt, r.Reason
	switch {
	case run.Role != "":
	case r.Archived:
		run.Role = roleArchived
	case r.Trouble != "":
		run.Role = roleBroken
	default:
		run.Role = roleStarting
	}
}

// withEntries adds what the registry says to a list of runs, and the runs that only it knows.
func (s *Server) withEntries(runs []Run) []Run {
	registry, err := s.registered()
	if err != nil {
		return runs
	}
	for _, entry := range registry.List() {
		i := slices.IndexFunc(runs, func(r Run) bool { return r.Name == entry.Name })
		if i < 0 {
			runs, i = append(runs, Run{}), len(runs)
		}
		entry.note(&runs[i])
	}
	slices.SortFunc(runs, func(a, b Run) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return runs
}

func (c *call) createRun() error {
	registry, err := c.server.registered()
	if err != nil {
		return err
	}
	var body RunRequest
	if err := c.body(&body, runMax); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	created, err := registry.Create(c.Context(), body, c.by)
	if err != nil {
		return err
	}
	run, _ := c.runNamed(body.Name)
	return c.answer(CreateAnswer{Created: created, Run: run})
}

// runNamed finds a run in the list.
func (c *call) runNamed(name spec.RunName) (Run, bool) {
	list := c.runs()
	i := slices.IndexFunc(list, func(r Run) bool { return r.Name == name })
	if i < 0 {
		return Run{}, false
	}
	return list[i], true
}

// Bounds of a run's creation.
const (
	runMax     = 2 << 20
	runNameMax = 100
	weightMax  = 1e6
)

func (r *RunRequest) check() error {
	switch {
	case r.Name == "" || len(r.Name) > runNameMax:
		return problem(CodeInvalid, "field name: it must be text of 1 to %d bytes", runNameMax)
	case r.Workflow == "":
		return problem(CodeInvalid, "field workflow: the text of a workflow file is needed")
	case r.Budget < 0:
		return problem(CodeInvalid, "field budget: it must be 0 (what the workflow says) or more")
	case r.Weight < 0 || r.Weight > weightMax:
		return problem(CodeInvalid, "field weight: it must be a number above 0, or 0 for 1")
	}
	if r.Weight == 0 {
		r.Weight = 1
	}
	return nil
}

// registryRun returns the registry and the run of the path.
func (c *call) registryRun() (Registry, spec.RunName, error) {
	registry, err := c.server.registered()
	if err != nil {
		return nil, "", err
	}
	name, err := c.pathRun()
	return registry, name, err
}

// pathRun is the run of the path.
func (c *call) pathRun() (spec.RunName, error) {
	name, err := idOf(c.PathValue("run"))
	return spec.RunName(name), err
}

// archiveRun lets a run go, or takes it up again. What a leader leaves running would have nobody to report to, so an
// active run is only archived by force.
func (c *call) archiveRun() error {
	registry, name, err := c.registryRun()
	if err != nil {
		return err
	}
	body := ArchiveRequest{Archived: true}
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	asked, err := c.asked(body.Reason)
	if err != nil {
		return err
	}
	if body.Archived && !body.Force {
		if err := c.idle(name); err != nil {
			return err
		}
	}
	if err := registry.Archive(c.Context(), name, body.Archived, asked.By, asked.Reason); err != nil {
		return err
	}
	return c.answerNamed(name)
}

// answerNamed answers with a run as the list has it.
func (c *call) answerNamed(name spec.RunName) error {
	run, known := c.runNamed(name)
	if !known {
		return problem(CodeUnknownRun, "no run %q is registered", name)
	}
	return c.answer(run)
}

// idle refuses a run that is not at rest.
func (c *call) idle(name spec.RunName) error {
	run, known := c.runNamed(name)
	switch {
	case !known || run.Archived || run.Role == roleBroken:
		return nil
	case run.Counts == nil:
		return problem(CodeNoLeader, "run %q: what it is doing cannot be asked at the moment", name)
	}
	busy := run.Counts.Dispatched + run.Counts.Running + run.Counts.Reported
	if busy > 0 || run.Status == string(spec.StatusRunning) && !run.Paused {
		return problem(CodeRunActive, "run %q is active: %d tasks are under way, %d queued", name, busy, run.Counts.Queued)
	}
	return nil
}

func (c *call) deleteRun() error {
	registry, name, err := c.registryRun()
	if err != nil {
		return err
	}
	var body ReasonRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	asked, err := c.asked(body.Reason)
	if err != nil {
		return err
	}
	entry, known := c.server.entry(name)
	switch {
	case !known:
		return problem(CodeUnknownRun, "no run %q is registered", name)
	case !entry.Archived:
		return problem(CodeRunActive, "run %q is not archived", name)
	}
	if err := registry.Delete(c.Context(), name); err != nil {
		return err
	}
	c.server.o.Logger.Warn("a run was deleted", "run", name, "by", asked.By, "reason", asked.Reason)
	return c.answer(DeleteAnswer{Deleted: name})
}

// runFiles answers with the files of a run's workdir.
func (c *call) runFiles() error {
	if _, err := c.query(); err != nil {
		return err
	}
	registry, name, err := c.registryRun()
	if err != nil {
		return err
	}
	files, err := registry.Files(c.Context(), name)
	if err != nil {
		return err
	}
	defer func() { _ = files.Close() }() // it was read
	c.w.Header().Set("Content-Type", "application/gzip")
	if _, err := io.Copy(c.w, files); err != nil {
		panic(http.ErrAbortHandler) // half of an archive must not look like all of it
	}
	return nil
}

// elsewhereMax bounds how long a list waits for what other coordinators say of their runs.
const elsewhereMax = 2 * time.Second

// runs lists the runs with what this coordinator, or else the one that leads, says of each.
func (c *call) runs() []Run {
	served := c.server.all()
	list := make([]Run, len(served))
	ctx, cancel := context.WithTimeout(c.Context(), elsewhereMax)
	defer cancel()
	var asking sync.WaitGroup
	for i, r := range served {
		view, err := r.View()
		if err == nil {
			list[i] = runOf(r, view)
			continue
		}
		list[i] = runOf(r, nil)
		asking.Go(func() { c.askElsewhere(ctx, r, &list[i]) })
	}
	asking.Wait()
	return c.server.withEntries(list)
}

// askElsewhere fills in what the coordinator that leads a run says of it; without an answer the run stays as it is.
func (c *call) askElsewhere(ctx context.Context, r Served, run *Run) {
	target, err := c.server.leaders.reach(c.Request, r.Name(), r.Leader())
	if err != nil {
		return
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String()+Prefix+runPath(r.Name(), ""), nil)
	if err != nil {
		return
	}
	q.Header.Set(forwardedHeader, "1")
	q.Header["Authorization"] = c.Header["Authorization"]
	answer, err := c.server.leaders.transport.RoundTrip(q)
	if err != nil {
		return
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	var there Run
	if answer.StatusCode == http.StatusOK && json.NewDecoder(io.LimitReader(answer.Body, bodyMax)).Decode(&there) == nil {
		there.Role, there.Leader = run.Role, run.Leader
		*run = there
	}
}
