package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// Served is what a Server needs of one run. A *coordinator.Coordinator is one.
type Served interface {
	Name() spec.RunName
	Readiness() (role coordinator.Role, epoch uint64, trouble string)
	// Leader says who leads, for what this coordinator cannot answer itself.
	Leader() coordinator.Leader
	// View and Steer return coordinator.ErrNotLeader where another coordinator leads.
	View() (*coordinator.View, error)
	Steer(ctx context.Context, ev engine.Event) (engine.Reply, error)
}

// Options say how a Server serves.
type Options struct {
	// Tokens, unless nil, are asked of every request.
	Tokens *Tokens
	// Loopback says that the server listens on a loopback address only. Without tokens it then answers only requests that
	// were addressed to one, so that no web page can reach it under a name of its own.
	Loopback bool
	Version  string
	Logger   *slog.Logger
}

// Server is the HTTP API of the runs that were registered with it. It is an http.Handler for everything below /api/.
type Server struct {
	o       Options
	mux     *http.ServeMux
	handler http.Handler
	streams chan struct{} // a token for each stream of events
	drawing chan struct{} // a token for the report that is being made
	leaders *forwarder

	mu       sync.RWMutex
	runs     map[spec.RunName]Served
	registry Registry // nil where the server has only what was registered with it
}

// Prefix is the path that everything of the API lies below.
const Prefix = "/api/v1"

// streamsMax is how many streams of events a server feeds at once.
const streamsMax = 512

// NewServer returns a server without runs.
func NewServer(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), streams: make(chan struct{}, streamsMax), drawing: make(chan struct{}, 1), leaders: newForwarder(o.Logger),
		runs: make(map[spec.RunName]Served),
	}
	for _, r := range routes {
		s.mux.HandleFunc(r.method+" "+Prefix+r.path, func(w http.ResponseWriter, q *http.Request) { s.serve(r, w, q) })
	}
	s.mux.HandleFunc("/api/", s.nothing)
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		(&call{Request: q, w: w, server: s}).fail(problem(CodeHost, "a page of another site asks for a change"))
	}))
	s.handler = protection.Handler(s.mux)
	return s
}

// Register makes a run known; one of the same name is replaced.
func (s *Server) Register(r Served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[r.Name()] = r
}

// Unregister forgets a run.
func (s *Server) Unregister(name spec.RunName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, name)
}

func (s *Server) find(name spec.RunName) (Served, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.runs[name]
	return r, ok
}

// all returns the runs by name.
func (s *Server) all() []Served {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Served, 0, len(s.runs))
	for _, r := range s.runs {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Served) int { return strings.Compare(string(a.Name()), string(b.Name())) })
	return list
}

// route is one operation of the API.
type route struct {
	method, path string
	changes      bool // needs the role operator, and a body of JSON
	registry     bool // is about the run's entry in the registry
	listed       bool // is answered from there where no coordinator is there for the run
	handle       func(*call) error
}

// call is one request on its way.
type call struct {
	*http.Request
	w      http.ResponseWriter
	server *Server
	by     string // who asks
	run    Served
	view   *coordinator.View
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	for i, name := range secureHeaders {
		w.Header().Set(name, secureValues[i])
	}
	s.handler.ServeHTTP(w, q)
}

// What every answer says to browsers: it is data, it is nobody's page, and it is not to be kept.
var (
	secureHeaders = []string{"X-Content-Type-Options", "Cache-Control", "Referrer-Policy", "Content-Security-Policy"}
	secureValues  = []string{"nosniff", "no-store", "no-referrer", "default-src 'none'; frame-ancestors 'none'"}
)

// serve answers one request: who asks is looked at before anything else, and a run that is led elsewhere is asked there.
func (s *Server) serve(r route, w http.ResponseWriter, q *http.Request) {
	c := &call{Request: q, w: w, server: s}
	err := c.admit(r)
	if err == nil && strings.HasPrefix(r.path, "/runs/{run}") && !r.registry {
		err = c.reach(r)
	}
	if err == nil && c.w != nil {
		err = r.handle(c)
	}
	if err != nil {
		c.fail(err)
	}
}

// bodyTimeout bounds the time in which a request's body must arrive.
const bodyTimeout = 30 * time.Second

// admit checks where a request comes from, who asks, and what it brings.
func (c *call) admit(r route) (err error) {
	if c.by, err = c.server.identify(c.Request, r.changes); err != nil || !r.changes {
		return err
	}
	if media, _, _ := strings.Cut(c.Header.Get("Content-Type"), ";"); strings.TrimSpace(media) != "application/json" {
		return problem(CodeMediaType, "Content-Type is %q", c.Header.Get("Content-Type"))
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer can
	return nil
}

// reach finds the run, or hands the request to the coordinator that leads it; then there is nothing left to answer, and
// c.w is nil. While the leader changes it waits, so that a failover is no refusal.
func (c *call) reach(r route) error {
	name, err := idOf(c.PathValue("run"))
	if err != nil {
		return err
	}
	run, known := c.server.find(spec.RunName(name))
	if !known {
		if err := c.absent(r, spec.RunName(name)); err != nil || r.listed {
			return err
		}
		return problem(CodeUnknownRun, "no run %q here", name)
	}
	c.run = run
	if err = c.reachLeader(); !passes(err) || c.forwarded() {
		return err
	}
	patience, cancel := context.WithTimeout(c.Context(), c.server.leaders.patience)
	defer cancel()
	for passes(err) {
		select {
		case <-patience.Done():
			return err
		case <-time.After(leaderPoll):
			err = c.reachLeader()
		}
	}
	return err
}

// reachLeader takes a view of the run, or hands the request to the coordinator that leads it.
func (c *call) reachLeader() (err error) {
	if c.view, err = c.run.View(); err == nil {
		return nil
	}
	if c.run.Leader().Here {
		return problem(CodeNoLeader, "run %q: its leader is changing", c.run.Name())
	}
	if err := c.server.leaders.forward(c.w, c.Request, c.run); err != nil {
		return err
	}
	c.w = nil
	return nil
}

// absent says why no coordinator is there for a run that is registered; nil when it is not.
func (c *call) absent(r route, name spec.RunName) error {
	entry, registered := c.server.entry(name)
	switch {
	case !registered && r.listed:
		return problem(CodeUnknownRun, "no run %q here", name)
	case !registered || r.listed:
		return nil
	case entry.Archived:
		return problem(CodeArchived, "run %q is archived", name)
	case entry.Trouble != "":
		return problem(CodeBroken, "run %q cannot be led: %s", name, entry.Trouble)
	}
	return problem(CodeNoLeader, "run %q is being taken up", name)
}

// nothing answers what no route matches.
func (s *Server) nothing(w http.ResponseWriter, q *http.Request) {
	c := &call{Request: q, w: w, server: s}
	if _, err := s.identify(q, false); err != nil {
		c.fail(err)
		return
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := q.Clone(q.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/api/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.fail(problem(CodeMethod, "%s is not possible here", q.Method))
		return
	}
	c.fail(problem(CodeNotFound, "no such path: %s", q.URL.Path))
}

// fail answers with a problem.
func (c *call) fail(err error) {
	if c.w == nil {
		return
	}
	p := problemOf(err)
	if p.Code == CodeInternal {
		c.server.o.Logger.Error("serve HTTP", "method", c.Method, "path", c.URL.Path, "err", err)
	}
	if p.Code == CodeUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="autoresearch"`)
	}
	if p.Status() == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", "1")
	}
	writeJSON(c.w, p.Status(), struct {
		Error *Problem `json:"error"`
	}{p})
}

// answer answers with a value.
func (c *call) answer(v any) error {
	writeJSON(c.w, http.StatusOK, v)
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := encode(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"encode the answer","remedy":""}}`+"\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has gone needs no answer
}

// encode writes a value as a line of JSON. Payloads stay as they were written: no browser reads this as a page, so "<" needs no
// escape.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}
