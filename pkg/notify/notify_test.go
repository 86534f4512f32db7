package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// search minimises a loss, with a limit of five experiments.
type search struct{ specs []spec.TaskSpec }

func (s *search) Load(context.Context) ([]spec.TaskSpec, error) { return s.specs, nil }

func (s *search) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (s *search) OnResult(context.Context, spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error) {
	return nil, nil
}

func (s *search) Summarize(context.Context, string) (string, error) { return "", nil }

func (s *search) Policies() (map[string]spec.KindPolicy, bool) { return nil, false }

func (s *search) Limits() spec.Limits { return spec.Limits{MaxExperiments: 5} }

func (s *search) Objective() spec.Objective { return spec.Objective{Metric: "loss"} }

// hook is a webhook that hands out what it was told.
type hook struct {
	*httptest.Server
	told chan Notice

	mu      sync.Mutex
	answers []int // the first answers; then 204
	seen    []http.Header
}

func newHook(t *testing.T, answers ...int) *hook {
	h := &hook{told: make(chan Notice, 100), answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.seen = append(h.seen, r.Header)
		if len(h.answers) > 0 {
			w.WriteHeader(h.answers[0])
			h.answers = h.answers[1:]
			return
		}
		body, err := io.ReadAll(r.Body)
		var n Notice
		if err != nil || json.Unmarshal(body, &n) != nil {
			t.Errorf("body %s, %v", body, err)
		}
		w.WriteHeader(http.StatusNoContent)
		h.told <- n
	}))
	t.Cleanup(h.Close)
	return h
}

// next returns the next notice, which must be of an event.
func (h *hook) next(t *testing.T, event spec.NoticeEvent) Notice {
	t.Helper()
	select {
	case n := <-h.told:
		if n.Event != event {
			t.Fatalf("told of %s (%s), want %s", n.Event, n.Text, event)
		}
		return n
	case <-time.After(30 * time.Second):
		t.Fatalf("nobody was told of %s", event)
	}
	return Notice{}
}

func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// world is a NATS server with a worker whose experiments end when they are allowed to.
type world struct {
	t      *testing.T
	server *bus.Embedded
	allow  chan float64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: server, allow: make(chan float64)}
	conn := w.connect()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	run := spec.RunnerFunc(func(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
		select {
		case loss := <-w.allow:
			if loss < 0 {
				return spec.TaskResult{}, errors.New("it went below zero")
			}
			return spec.TaskResult{Metrics: map[string]float64{"loss": loss}}, nil
		case <-ctx.Done():
			return spec.TaskResult{}, ctx.Err()
		}
	})
	go func() {
		ended <- worker.Run(ctx, worker.Options{
			Conn: conn, Dir: t.TempDir(), Slots: map[string]int{spec.ClassDefault: 1}, Heartbeat: 100 * time.Millisecond, Logger: quiet(t),
			Runners: map[string]spec.Runner{spec.KindDefault: run},
		})
	}()
	t.Cleanup(func() {
		cancel()
		for _, err := range []error{<-ended, conn.Close(), server.Shutdown()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

func (w *world) connect() *bus.Conn {
	w.t.Helper()
	conn, err := w.server.Connect(w.t.Context(), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// lead coordinates the run and tells people, until stop is called.
func (w *world) lead(told prometheus.Registerer, targets []spec.Notification, specs ...spec.TaskSpec) (c *coordinator.Coordinator, stop func()) {
	w.t.Helper()
	conn := w.connect()
	c, err := coordinator.New(coordinator.Options{
		Conn: conn, Run: "r", Workflow: &search{specs: specs}, MaxConcurrency: 1, Seed: 1, Logger: quiet(w.t), LeaderTTL: 2 * time.Second,
		Breaker: 2,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Beside(ctx, Options{
			Coordinator: c, Marks: kv.NewNotices(conn, 0), Targets: targets, Name: "search", Logger: slog.New(slog.DiscardHandler),
			Registerer: told, Backoff: time.Millisecond,
		}, func() error { _, err := c.Run(ctx); return err })
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		for _, err := range []error{<-ended, conn.Close()} {
			if err != nil {
				w.t.Error(err)
			}
		}
	})
	w.t.Cleanup(stop)
	return c, stop
}

func task(id string) spec.TaskSpec { return spec.TaskSpec{ID: spec.TaskID(id), Kind: spec.KindDefault} }

// TestTold follows a run through two leaders: everything is told once, after a webhook that was not there for a moment.
func TestTold(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHook(t, http.StatusServiceUnavailable)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	targets := []spec.Notification{{Webhook: h.URL, TokenFile: token, Timeout: 10 * time.Second}}
	_, stop := w.lead(nil, targets, task("a"), task("b"), task("c"), task("d"))
	w.allow <- 3
	if n := h.next(t, spec.NoticeNewBest); n.Task != "a" || *n.Value != 3 || n.Previous != nil || n.Metric != "loss" || n.Run != "r" {
		t.Errorf("%+v", n)
	}
	w.allow <- 1
	first := h.next(t, spec.NoticeNewBest)
	if first.Task != "b" || *first.Previous != 3 || first.Text != "run r: new best loss 1 by b, before 3" {
		t.Errorf("%+v", first)
	}
	w.allow <- 2 // no best
	if n := h.next(t, spec.NoticeBudget); n.Limit != "max_experiments" || n.Used != 4 || n.Allowed != 5 {
		t.Errorf("%+v", n)
	}
	w.allow <- 4
	if n := h.next(t, spec.NoticeStopped); n.Counts.Completed != 4 {
		t.Errorf("%+v", n)
	}
	stop()

	c, stop := w.lead(nil, targets)
	await(t, func() bool {
		_, _, err := c.Submit(t.Context(), []spec.TaskSpec{task("e")})
		return err == nil
	})
	w.allow <- 0.5
	if n := h.next(t, spec.NoticeNewBest); n.Task != "e" || *n.Previous != 1 || n.ID == first.ID {
		t.Errorf("%+v", n)
	}
	h.next(t, spec.NoticeStopped)
	stop()
	if len(h.told) > 0 {
		t.Errorf("told again: %+v", <-h.told)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, header := range h.seen {
		if header.Get("Authorization") != "Bearer sesame" || header.Get("Idempotency-Key") == "" {
			t.Errorf("headers %v", header)
		}
	}
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("it never happened")
		case <-tick.C:
		}
	}
}

// TestNotTold holds the run apart from people who cannot be told, and counts them.
func TestNotTold(t *testing.T) {
	t.Parallel()
	w, refusing, idle := newWorld(t), newHook(t, slices.Repeat([]int{http.StatusForbidden}, 100)...), newHook(t)
	registry := prometheus.NewRegistry()
	_, stop := w.lead(registry, []spec.Notification{
		{Webhook: refusing.URL, Timeout: 10 * time.Second},
		{WebhookEnv: "AUTORESEARCH_NO_SUCH_VARIABLE", Timeout: time.Second, Events: []spec.NoticeEvent{spec.NoticeStopped}},
		{Webhook: idle.URL, Timeout: 10 * time.Second, NoProgress: 50 * time.Millisecond, Events: []spec.NoticeEvent{spec.NoticeNoProgress}},
	}, task("a"))
	if n := idle.next(t, spec.NoticeNoProgress); n.ForSeconds != 0.05 {
		t.Errorf("%+v", n)
	}
	w.allow <- 1
	count := func(event spec.NoticeEvent) float64 {
		n := 0.0
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if m.GetLabel()[0].GetValue() == string(event) && m.GetLabel()[1].GetValue() == "failed" {
					n += m.GetCounter().GetValue()
				}
			}
		}
		return n
	}
	await(t, func() bool { return count(spec.NoticeNewBest) == 1 && count(spec.NoticeStopped) == 2 })
	stop()
}

// TestBreaker tells an end by the breaker from others.
func TestBreaker(t *testing.T) {
	t.Parallel()
	w, h := newWorld(t), newHook(t)
	w.lead(nil, []spec.Notification{{
		Webhook: h.URL, Timeout: 10 * time.Second, Events: []spec.NoticeEvent{spec.NoticeBreaker, spec.NoticeStopped},
	}}, task("a"), task("b"), task("c"))
	w.allow <- -1
	w.allow <- -2
	if n := h.next(t, spec.NoticeBreaker); n.Counts.Failed != 2 || n.Counts.Queued != 1 || !strings.HasPrefix(n.Reason, "breaker: the last 2 tasks") {
		t.Errorf("%+v", n)
	}
}

// TestCommand holds what a command is told, and what is said of one that fails.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := "#!/bin/sh\ncat > body\necho \"$AUTORESEARCH_EVENT $AUTORESEARCH_TEXT\" > said\necho oops\nexit ${1:-0}\n"
	if err := os.WriteFile(filepath.Join(dir, "tell"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	told := &teller{Notification: spec.Notification{Command: []string{"./tell"}, Dir: dir, Timeout: time.Minute}}
	n := &Notice{Event: spec.NoticeStopped, Text: "it\x00 stopped"}
	if err := told.tell(t.Context(), n, []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "body"))
	said, err2 := os.ReadFile(filepath.Join(dir, "said"))
	if string(body) != `{"a":1}` || string(said) != "stopped it stopped\n" {
		t.Errorf("told %q and %q, %v, %v", body, said, err, err2)
	}
	told.Command = append(told.Command, "3")
	if err := told.tell(t.Context(), n, nil); err == nil || !strings.Contains(err.Error(), `exit status 3; it wrote: "oops\n"`) {
		t.Errorf("a command that failed: %v", err)
	}
}

// TestSecretsStayOut holds addresses out of errors.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	h.Close()
	told := &teller{Notification: spec.Notification{Webhook: h.URL + "/secret", Timeout: time.Second}, http: newClient()}
	if err := told.tell(t.Context(), &Notice{}, nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
