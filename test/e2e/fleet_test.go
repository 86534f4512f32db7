//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// fleet is a nats-server with the coordinators and workers of a run.
type fleet struct {
	t        *testing.T
	lab      *lab
	nats     *natsServer
	workflow string
	trail    *trail
}

// newFleet prepares a run of a workflow with these initial tasks. Nothing but the nats-server is started.
func newFleet(t *testing.T, concurrency int, initial []task) *fleet {
	t.Helper()
	lab := newLab(t)
	f := &fleet{t: t, lab: lab, nats: startNATS(t), workflow: lab.workflow(concurrency, initial, ""), trail: &trail{t: t}}
	f.trail.store = f.nats.store
	f.trail.follow()
	t.Cleanup(func() { f.nats.killIfAlive() }) // a restarted one too
	return f
}

// in returns the same fleet for a subtest, at whose end what it started there is killed.
func (f fleet) in(t *testing.T) *fleet {
	f.t = t
	return &f
}

// daemon is a coordinator or a worker that serves HTTP.
type daemon struct {
	*process
	url string
}

func (f *fleet) daemon(name string, args ...string) *daemon {
	f.t.Helper()
	p := start(f.t, name, append([]string{"--nats", f.nats.url(), "--http", "127.0.0.1:0"}, args...)...)
	return &daemon{process: p, url: "http://" + p.says(`msg="serving .*address=(\S+)`)[1]}
}

// coordinator starts a coordinator that ends when the run has stopped.
func (f *fleet) coordinator(w workdir) *daemon {
	f.t.Helper()
	f.trail.led = append(f.trail.led, w.dir)
	return f.daemon("coordinator", "--workflow", f.workflow, "--workdir", w.dir, "--exit-when-stopped")
}

// worker starts a worker with so many slots.
func (f *fleet) worker(dir string, slots int) *daemon {
	f.t.Helper()
	f.trail.workers = append(f.trail.workers, dir)
	return f.daemon("worker", "--dir", dir, "--slots", strconv.Itoa(slots))
}

// newWorkerDir returns a directory for one worker.
func (f *fleet) newWorkerDir() string { return filepath.Join(f.t.TempDir(), "worker") }

// get returns status and body of a page, 0 and why when there is none.
func (d *daemon) get(path string) (code int, body string) {
	d.t.Helper()
	if d.hasExited() {
		d.t.Fatalf("to be asked for %s, but it has ended: %s", path, d)
	}
	response, err := http.Get(d.url + path)
	if err != nil {
		return 0, err.Error()
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// readiness is what a coordinator's /readyz says.
type readiness struct {
	Role   string `json:"role"`
	Epoch  int    `json:"epoch"`
	Ready  bool   `json:"ready"`
	Reason string `json:"reason"`
}

// awaitRole waits until a coordinator is ready in a role, and returns what it says.
func (d *daemon) awaitRole(role string) (r readiness) {
	d.t.Helper()
	eventually(d.t, "/readyz says "+role, func() string {
		code, body := d.get("/readyz")
		r = readiness{}
		if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK || r.Role != role {
			return fmt.Sprintf("%d %s", code, body)
		}
		return ""
	})
	return r
}

// awaitReady waits until /readyz answers with 200.
func (d *daemon) awaitReady() {
	d.t.Helper()
	d.awaitCode("/readyz", http.StatusOK)
}

// awaitCode waits until a page answers with a status code.
func (d *daemon) awaitCode(path string, want int) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("%s %s answers %d", d.name, path, want), func() string {
		if code, body := d.get(path); code != want {
			return fmt.Sprintf("%d %s", code, body)
		}
		return ""
	})
}

// awaitMetric waits until a metric, with its labels if it has any, has a value.
func (d *daemon) awaitMetric(metric string, want float64) {
	d.t.Helper()
	d.awaitMetricThat(metric, fmt.Sprint("is ", want), func(value float64) bool { return value == want })
}

// awaitMetricMin waits until a metric has at least a value.
func (d *daemon) awaitMetricMin(metric string, least float64) {
	d.t.Helper()
	d.awaitMetricThat(metric, fmt.Sprint("is at least ", least), func(value float64) bool { return value >= least })
}

func (d *daemon) awaitMetricThat(metric, holds string, hold func(float64) bool) {
	d.t.Helper()
	eventually(d.t, metric+" "+holds, func() string {
		value, found := d.metric(metric)
		if found && hold(value) {
			return ""
		}
		return fmt.Sprintf("it is %v (known: %v)", value, found)
	})
}

// metric returns the value of a metric, with its labels if it has any; found is false when it is not there.
func (d *daemon) metric(name string) (value float64, found bool) {
	d.t.Helper()
	_, body := d.get("/metrics")
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(body)
	if line == nil {
		return 0, false
	}
	value, err := strconv.ParseFloat(line[1], 64)
	return value, err == nil
}

// of returns those of the executions that run under a shim of this worker.
func (d *daemon) of(executions []*execution) (own []*execution) {
	for _, e := range executions {
		if parentOf(parentOf(e.pid)) == d.cmd.Process.Pid {
			own = append(own, e)
		}
	}
	return own
}

// parentOf returns the parent of a process, 0 when it is gone.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// pid (name) state parent ...
	_, rest, _ := strings.Cut(string(stat), ") ")
	var state string
	var parent int
	if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
		return 0
	}
	return parent
}

// byPID returns the executions by their process numbers.
func byPID(list []*execution) map[int]*execution {
	found := map[int]*execution{}
	for _, e := range list {
		found[e.pid] = e
	}
	return found
}

// wantSameProcesses checks that the executions of before still run, as the same processes.
func wantSameProcesses(t *testing.T, before, now []*execution) {
	t.Helper()
	alive := byPID(now)
	for _, e := range before {
		if alive[e.pid] == nil {
			t.Errorf("%s, attempt %d, process %d, runs no more", e.id, e.attempt, e.pid)
		}
	}
}
