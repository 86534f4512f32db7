//go:build linux

package e2e

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHTTP reads health, readiness and metrics of every program that serves them.
func TestHTTP(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(1)
	f := newFleet(t, 1, all)
	w := newWorkdir(t)
	worker, coordinator := f.worker(f.newWorkerDir(), 1), f.coordinator(w)
	f.lab.awaitRunning(1)
	coordinator.awaitRole("leader")
	worker.awaitReady()
	coordinator.awaitMetric(`autoresearch_tasks{state="running"}`, 1)
	coordinator.awaitMetric(`autoresearch_tasks{state="queued"}`, 1)
	coordinator.awaitMetric("autoresearch_leader", 1)
	worker.awaitMetric(`autoresearch_worker_slots{class="cpu",state="busy"}`, 1)
	for _, d := range []*daemon{worker, coordinator} {
		wantPages(t, d)
		wantMetrics(t, d, append(ids(all), workerIDs(t, worker)...))
	}
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
}

// TestEngineHTTP reads the same of the engine command, which is coordinator and worker at once.
func TestEngineHTTP(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(1)
	s := newSearch(t, 1, all, "stop: {max_experiments: 4}")
	engine := s.begin("--http", "127.0.0.1:0")
	d := &daemon{process: engine, url: "http://" + engine.says(`msg="serving .*address=(\S+)`)[1]}
	s.lab.awaitRunning(1)
	d.awaitRole("leader")
	d.awaitMetric(`autoresearch_tasks{state="running"}`, 1)
	d.awaitMetric(`autoresearch_worker_slots{class="cpu",state="busy"}`, 1)
	if said := ask(t, "status", s.workdir.dir); !strings.Contains(said, "1 of 4 experiments begun (25 %)") {
		t.Errorf("status: %s", said)
	}
	wantPages(t, d)
	wantMetrics(t, d, ids(all))
	s.lab.open("go")
	engine.wantExit(0)
}

// wantPages checks that health and readiness are good and JSON, and that what does not exist is not found.
func wantPages(t *testing.T, d *daemon) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := d.get(path); code != http.StatusOK || !json.Valid([]byte(body)) {
			t.Errorf("%s %s: %d %s", d.name, path, code, body)
		}
	}
	if code, _ := d.get("/none"); code != http.StatusNotFound {
		t.Errorf("%s /none: %d", d.name, code)
	}
}

var (
	sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	label  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"`)
)

// wantMetrics checks that metrics carry the prefix, have a help text, and tell no ids in their labels.
func wantMetrics(t *testing.T, d *daemon, ids []string) {
	t.Helper()
	code, body := d.get("/metrics")
	if code != http.StatusOK {
		t.Fatalf("%s /metrics: %d %s", d.name, code, body)
	}
	own := 0
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := sample.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("%s /metrics: not a sample: %s", d.name, line)
			continue
		}
		switch name := parts[1]; {
		case strings.HasPrefix(name, "autoresearch_"):
			own++
		case !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_"):
			t.Errorf("%s /metrics: %s has not the prefix autoresearch_", d.name, name)
		}
		for _, pair := range label.FindAllStringSubmatch(parts[2], -1) {
			if slices.Contains(ids, pair[2]) || slices.Contains([]string{"task", "worker", "id", "run", "attempt"}, pair[1]) {
				t.Errorf("%s /metrics: a label tells an id: %s", d.name, line)
			}
		}
	}
	if own == 0 {
		t.Errorf("%s /metrics has no metrics of its own:\n%s", d.name, body)
	}
}

// workerIDs returns the id that a worker says it has.
func workerIDs(t *testing.T, worker *daemon) []string {
	t.Helper()
	_, body := worker.get("/healthz")
	var health struct{ Worker string }
	if err := json.Unmarshal([]byte(body), &health); err != nil || health.Worker == "" {
		t.Fatalf("/healthz of a worker: %v: %s", err, body)
	}
	return []string{health.Worker}
}
