package runs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"autoresearch/pkg/api"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/notify"
	"autoresearch/pkg/spec"
)

// Site is where the runs are made known to those who ask over HTTP.
type Site interface {
	Add(run api.Served)
	Remove(run spec.RunName)
}

// Options say what is served, and how.
type Options struct {
	Conn *bus.Conn
	// Workdir holds a workdir for each run.
	Workdir string
	// Factories are the workflow factories that entries may use.
	Factories *spec.Registry
	// Common is what the coordinators of all runs have in common.
	Common coordinator.Options
	Site   Site
	Log    *slog.Logger
}

// Server serves the registered runs. Its methods are safe for concurrent use.
type Server struct {
	o        Options
	registry *kv.Runs
	files    *bus.Files
	notices  *kv.Notices

	// turn holds a token for whoever changes an entry or acts on changes: what was changed is in the run's journal before the
	// run's lead ends for it.
	turn chan struct{}

	mu     sync.Mutex
	served map[spec.RunName]*served
	seen   []kv.RunEntry // the registry as it was last read
	down   string        // why the registry cannot be read; "" when it can
}

// served is one run that this process coordinates.
type served struct {
	entry  kv.RunEntry
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	trouble string                   // why it has no coordinator; "" when it has
	current *coordinator.Coordinator // nil until the workflow is built
}

// New returns a server; Run serves.
func New(o Options) *Server {
	return &Server{
		o: o, registry: kv.NewRuns(o.Conn, o.Common.Streams.Replicas), files: bus.NewFiles(o.Conn, o.Common.Streams),
		notices: kv.NewNotices(o.Conn, o.Common.Streams.Replicas),
		turn:    make(chan struct{}, 1),
		served:  make(map[spec.RunName]*served), down: "the registry of runs was not read yet",
	}
}

// How often the registry is read without a sign of change, and tried again after an error.
const (
	readInterval  = 10 * time.Second
	retryInterval = time.Second
)

// Run serves until ctx ends, and then hands every run over.
func (s *Server) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		s.follow(following, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	defer func() { stop(); <-followed; s.end(s.all()) }()
	for {
		pause := readInterval
		if err := s.reconcile(ctx); err != nil && ctx.Err() == nil {
			pause = retryInterval
			if !errors.Is(err, bus.ErrMissing) { // follow is about to make it
				s.o.Log.Warn("read the registry of runs; trying again", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(pause):
		}
	}
}

// follow signals changes of the registry, which it makes where there is none.
func (s *Server) follow(ctx context.Context, changed func()) {
	for ctx.Err() == nil {
		err := s.registry.Ensure(ctx)
		if err == nil {
			err = s.registry.Follow(ctx, changed)
		}
		if ctx.Err() == nil {
			s.o.Log.Warn("follow the registry of runs; trying again", "err", err)
			wait(ctx, retryInterval)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// take waits for the turn; release gives it back.
func (s *Server) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) release() { <-s.turn }

// reconcile begins to serve what is registered and ends what is not, or not any more, or is another run of the name. A run whose
// settings are others by now ends and begins again: its experiments run on meanwhile.
func (s *Server) reconcile(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	entries, err := s.registry.List(ctx, func(err error) { s.o.Log.Error("an entry of the registry of runs", "err", err) })
	s.mu.Lock()
	if err != nil {
		s.down = err.Error()
		s.mu.Unlock()
		return err
	}
	s.seen, s.down = entries, ""
	s.mu.Unlock()
	wanted := make(map[spec.RunName]kv.RunEntry, len(entries))
	for _, e := range entries {
		if !e.Archived {
			wanted[e.Name] = e
		}
	}
	var leaving []*served
	for _, r := range s.all() {
		e, ok := wanted[r.entry.Name]
		if ok = ok && e.ID == r.entry.ID; ok && same(e, r.entry) {
			continue
		}
		if ok {
			s.o.Log.Info("a run has other settings", "run", e.Name, "changed_by", e.ChangedBy)
		}
		leaving = append(leaving, r)
	}
	s.end(leaving)
	for name, e := range wanted {
		s.begin(ctx, name, e)
	}
	return nil
}

func (s *Server) all() []*served {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*served, 0, len(s.served))
	for _, r := range s.served {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *served) int { return strings.Compare(string(a.entry.Name), string(b.entry.Name)) })
	return list
}

// end hands runs over, all at once, and waits for that.
func (s *Server) end(list []*served) {
	for _, r := range list {
		s.o.Log.Info("letting a run go", "run", r.entry.Name)
		r.cancel()
	}
	for _, r := range list {
		<-r.ended
		s.mu.Lock()
		delete(s.served, r.entry.Name)
		s.mu.Unlock()
	}
}

// begin serves a run unless it is served already.
func (s *Server) begin(ctx context.Context, name spec.RunName, e kv.RunEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served[name] != nil || ctx.Err() != nil {
		return
	}
	leading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &served{entry: e, cancel: cancel, ended: make(chan struct{}), trouble: notStarted}
	s.served[name] = r
	s.o.Log.Info("serving a run", "run", name, "registered_by", e.CreatedBy)
	go func() {
		defer close(r.ended)
		s.serve(leading, r)
	}()
}

// brokenInterval is how long a run that cannot be led is left alone before it is tried again.
const brokenInterval = 10 * time.Second

// serve coordinates one run until ctx ends. What is wrong with one run is said, tried again, and hurts no other.
func (s *Server) serve(ctx context.Context, r *served) {
	for ctx.Err() == nil {
		err := s.coordinate(ctx, r)
		if ctx.Err() != nil {
			return
		}
		r.set(nil, fmt.Sprint(cause(err)))
		s.o.Log.Error("a run cannot be led; trying again", "run", r.entry.Name, "err", err)
		wait(ctx, brokenInterval)
	}
}

func cause(err error) error {
	if err == nil {
		return errors.New("its coordinator ended")
	}
	return err
}

func (r *served) set(c *coordinator.Coordinator, trouble string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current, r.trouble = c, trouble
}

// state returns what the run does here and, where it is not well, why.
func (r *served) state() (role coordinator.Role, trouble string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil {
		return coordinator.RoleAlarmed, r.trouble
	}
	role, _, trouble = r.current.Readiness()
	return role, trouble
}

// coordinate builds the run's workflow and coordinates it.
func (s *Server) coordinate(ctx context.Context, r *served) error {
	o, err := s.optionsOf(ctx, r.entry)
	if err != nil {
		return err
	}
	if o.Registerer != nil {
		metrics := newRunMetrics(o.Registerer, r.entry.Name)
		defer metrics.end()
		o.Registerer = metrics
	}
	c, err := coordinator.New(o)
	if err != nil {
		return err
	}
	r.set(c, "")
	s.o.Site.Add(c)
	defer s.o.Site.Remove(r.entry.Name)
	return notify.Beside(ctx, notify.Options{
		Coordinator: c, Marks: s.notices, Targets: notify.Targets(o.Workflow), Name: o.Name, Logger: s.o.Log, Registerer: o.Registerer,
	}, func() error { _, err := c.Run(ctx); return err })
}

// workdir is a run's own: two runs of one name, of which the first was deleted, have two.
func (s *Server) workdir(e kv.RunEntry) string {
	return filepath.Join(s.o.Workdir, spec.EncodeName(string(e.Name))+"-"+e.ID)
}

// notStarted is the trouble of a run whose workflow is still being built.
const notStarted = "it has not started"
