package runs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// site puts the runs into one API.
type site struct{ *api.Server }

func (s site) Add(r api.Served)         { s.Register(r) }
func (s site) Remove(name spec.RunName) { s.Unregister(name) }

// node is a server of runs with its API, in this process.
type node struct {
	*Server
	client  *api.Client
	pages   http.Handler
	workdir string
}

func newNode(t *testing.T) *node {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 4})) // a broken run is one of its errors
	nats, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	handler := api.NewServer(api.Options{Logger: log, Loopback: true})
	web := httptest.NewServer(handler)
	registry := prometheus.NewRegistry()
	n := &node{workdir: t.TempDir()}
	n.Server = New(Options{
		Conn: conn, Workdir: n.workdir, Factories: cli.Registry(), Site: site{handler}, Log: log,
		Common: coordinator.Options{HTTP: web.URL, Registerer: registry, LeaderTTL: 2 * time.Second},
	})
	handler.SetRegistry(n.Server)
	n.pages = n.Handler(registry)
	if n.client, err = api.NewClient(api.ClientOptions{Server: web.URL, By: "anna"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		n.client.Close()
		web.Close()
		cancel()
		if err := errors.Join(<-ended, conn.Close(), nats.Shutdown()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// page returns what one of the pages says.
func (n *node) page(path string) string {
	w := httptest.NewRecorder()
	n.pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Body.String()
}

const workflowText = "max_concurrency: 3\nkinds: {default: {command: [/bin/true], class: none}}\ninitial: [{id: a}]\n"

func wantCode(t *testing.T, err error, want api.Code) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Code != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	r := api.RunRequest{Name: "a run", Workflow: workflowText, Budget: 7, Weight: 2, Dir: "/work", Args: []string{"name=other"}}
	answer, err := n.client.CreateRun(t.Context(), r)
	if err != nil || !answer.Created || answer.Run.Weight != 2 || answer.Run.CreatedBy != "anna" {
		t.Fatalf("%+v, %v", answer, err)
	}
	if answer, err := n.client.CreateRun(t.Context(), r); err != nil || answer.Created {
		t.Errorf("the same again: %+v, %v", answer, err)
	}
	await(t, "it is led", func() bool {
		run, err := n.client.Run(t.Context(), "a run")
		return err == nil && run.Budget == 7 && run.Weight == 2 && run.Tasks == 1
	})
	r.Weight = 3
	_, err = n.client.CreateRun(t.Context(), r)
	wantCode(t, err, api.CodeRunExists)
	_, err = n.client.CreateRun(t.Context(), api.RunRequest{Name: "b", Workflow: "kinds: 3"})
	wantCode(t, err, api.CodeWorkflow)
	_, err = n.client.CreateRun(t.Context(), api.RunRequest{Name: "b", Workflow: workflowText, Dir: "relative"})
	wantCode(t, err, api.CodeWorkflow)
	_, err = n.client.CreateRun(t.Context(), api.RunRequest{Name: "b"})
	wantCode(t, err, api.CodeInvalid)
	if page := n.page("/metrics"); !strings.Contains(page, `autoresearch_leader{run="a run"} 1`) {
		t.Errorf("metrics: %s", page)
	}
	if page := n.page("/readyz"); !strings.Contains(page, `"role":"leader"`) || !strings.Contains(page, `"ready":true`) {
		t.Errorf("readiness: %s", page)
	}
}

// TestBrokenRun leads what it can, and says of the rest what is wrong.
func TestBrokenRun(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if _, err := n.client.CreateRun(t.Context(), api.RunRequest{Name: "sound", Workflow: workflowText}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.registry.Put(t.Context(), kv.RunEntry{Name: "broken", ID: "1", Workflow: "kinds: 3", Weight: 1}); err != nil {
		t.Fatal(err)
	}
	await(t, "its trouble is told", func() bool {
		run, err := n.client.Run(t.Context(), "broken")
		return err == nil && run.Role == "broken" && strings.Contains(run.Trouble, "kinds")
	})
	_, err := n.client.Submit(t.Context(), "broken", api.SubmitRequest{Tasks: []spec.TaskSpec{{ID: "x", Kind: "default"}}})
	wantCode(t, err, api.CodeBroken)
	if run, err := n.client.Run(t.Context(), "sound"); err != nil || run.Role != "leader" {
		t.Errorf("the other: %+v, %v", run, err)
	}
}

func TestArchiveAndDelete(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if _, err := n.client.CreateRun(t.Context(), api.RunRequest{Name: "a", Workflow: workflowText}); err != nil {
		t.Fatal(err)
	}
	await(t, "it has its task", func() bool { run, err := n.client.Run(t.Context(), "a"); return err == nil && run.Tasks == 1 })
	_, err := n.client.ArchiveRun(t.Context(), "a", api.ArchiveRequest{Archived: true})
	wantCode(t, err, api.CodeRunActive) // a task waits for a worker
	wantCode(t, n.client.DeleteRun(t.Context(), "a", api.ReasonRequest{}), api.CodeRunActive)
	if _, err := n.client.Pause(t.Context(), "a", api.ControlRequest{}, ""); err != nil {
		t.Fatal(err)
	}
	run, err := n.client.ArchiveRun(t.Context(), "a", api.ArchiveRequest{Archived: true, Reason: "enough"})
	if err != nil || !run.Archived || len(n.all()) != 0 {
		t.Errorf("archived: %+v, %v, and %d are served", run, err, len(n.all()))
	}
	if page := n.page("/metrics"); strings.Contains(page, `run="a"`) {
		t.Errorf("metrics of a run that was let go: %s", page)
	}
	_, err = n.client.Workers(t.Context(), "a")
	wantCode(t, err, api.CodeArchived)
	// Taken up again it is as it was.
	if run, err = n.client.ArchiveRun(t.Context(), "a", api.ArchiveRequest{}); err != nil || run.Role != "leader" || !run.Paused || run.Tasks != 1 {
		t.Errorf("taken up again: %+v, %v", run, err)
	}
	if _, err = n.client.ArchiveRun(t.Context(), "a", api.ArchiveRequest{Archived: true}); err != nil {
		t.Fatal(err)
	}
	await(t, "it is deleted", func() bool { return n.client.DeleteRun(t.Context(), "a", api.ReasonRequest{}) == nil })
	if left, err := os.ReadDir(n.workdir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// The name is free, and nothing of the old run is in the new one.
	if _, err := n.client.CreateRun(t.Context(), api.RunRequest{Name: "a", Workflow: workflowText}); err != nil {
		t.Fatal(err)
	}
	await(t, "the new run is led", func() bool {
		run, err := n.client.Run(t.Context(), "a")
		return err == nil && run.Epoch == 1 && !run.Paused && run.Tasks == 1
	})
}

func TestFiles(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if _, err := n.client.CreateRun(t.Context(), api.RunRequest{Name: "a", Workflow: workflowText}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	await(t, "the files are kept", func() bool {
		files, err := n.client.RunFiles(t.Context(), "a")
		if err != nil {
			return false
		}
		defer func() { _ = files.Close() }()
		names, err := Unpack(files, dir)
		return err == nil && len(names) > 3
	})
	if text, err := os.ReadFile(filepath.Join(dir, "engine_state.json")); err != nil || !strings.Contains(string(text), `"id": "a"`) {
		t.Errorf("the snapshot: %s, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".lock")); err == nil {
		t.Error("the lock of the coordinator was kept")
	}
	_, err := n.client.RunFiles(t.Context(), "b")
	wantCode(t, err, api.CodeUnknownRun)
}

// TestUnpackStaysInside refuses names that lead out of the folder, and says of half an archive that it is one.
func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	for _, name := range []string{"../outside", outside, "a/../../outside"} {
		var b bytes.Buffer
		zipped := gzip.NewWriter(&b)
		archive := tar.NewWriter(zipped)
		header := &tar.Header{Name: name, Mode: 0o644, Size: 1}
		if err := errors.Join(archive.WriteHeader(header), second(io.WriteString(archive, "x")), archive.Close(), zipped.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Unpack(bytes.NewReader(b.Bytes()), filepath.Join(filepath.Dir(outside), "dir")); err == nil {
			t.Errorf("%s is taken", name)
		}
		if _, err := os.Stat(outside); err == nil {
			t.Fatalf("%s was written outside", name)
		}
		if _, err := Unpack(bytes.NewReader(b.Bytes()[:b.Len()/2]), t.TempDir()); err == nil {
			t.Errorf("half an archive is taken")
		}
	}
}

func second[T any](_ T, err error) error { return err }

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("it never happened: %s", what)
		case <-tick.C:
		}
	}
}
