//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lab is the folder that all experiments of a test share: a log of their starts and ends, and the gates they wait at.
type lab struct {
	t   *testing.T
	dir string
}

func newLab(t *testing.T) *lab { return &lab{t: t, dir: t.TempDir()} }

// payload is what an experiment is told to do; testdata/experiment says what each key means.
type payload map[string]any

// task is a spec, in a workflow file or among the children of a result.
type task struct {
	ID       string  `json:"id"`
	Priority float64 `json:"priority,omitempty"`
	Kind     string  `json:"kind,omitempty"`
	Payload  payload `json:"payload"`
}

// tasks returns n tasks of one payload, named by a format with their number from 1.
func tasks(n int, format string, p payload) []task {
	list := make([]task, n)
	for i := range list {
		list[i] = task{ID: fmt.Sprintf(format, i+1), Payload: p}
	}
	return list
}

func ids(list []task) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].ID
	}
	return names
}

// workflow writes a workflow file that runs the experiment, so many at once, beginning with these tasks. more is added to
// the file as it is.
func (l *lab) workflow(concurrency int, initial []task, more string) (path string) {
	l.t.Helper()
	text := fmt.Sprintf("name: e2e\nobjective: {metric: loss, direction: minimize}\nmax_concurrency: %d\n"+
		"kinds:\n  default: {command: [%s], env: {E2E_LAB: %s}}\n%s\n", concurrency, binary("experiment"), l.dir, more)
	if len(initial) > 0 {
		specs, err := json.Marshal(initial) // JSON is YAML
		if err != nil {
			l.t.Fatal(err)
		}
		text += "initial: " + string(specs) + "\n"
	}
	return l.write("workflow.yaml", text)
}

// write writes a file of the lab.
func (l *lab) write(name, text string) (path string) {
	l.t.Helper()
	path = filepath.Join(l.dir, name)
	writeFile(l.t, path, text)
	return path
}

// open lets the experiments that wait at a gate go on.
func (l *lab) open(gate string) {
	l.t.Helper()
	l.write("gate-"+gate, "")
}

// killed notes in the log that a test killed something now, and so the experiments that ran.
func (l *lab) killed() {
	l.t.Helper()
	log, err := os.OpenFile(filepath.Join(l.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = log.WriteString("killed - 0 0\n")
		err = errors.Join(err, log.Close())
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// execution is one process of an experiment, as the log tells it.
type execution struct {
	id      string
	attempt int
	pid     int
	started int // line of the log
	ended   int // line of the log; 0 while it runs, and when it was killed
}

// executions returns all executions in the order of their starts, and the lines where something was killed.
func (l *lab) executions() (list []*execution, kills []int) {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
	byPID := map[int]*execution{}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var what string
		e := execution{started: i + 1}
		if _, err := fmt.Sscan(line, &what, &e.id, &e.attempt, &e.pid); err != nil {
			continue // an empty log
		}
		if e.id, err = url.QueryUnescape(e.id); err != nil {
			l.t.Fatalf("line %d of the log: %v", i+1, err)
		}
		switch what {
		case "start":
			byPID[e.pid] = &e
			list = append(list, &e)
		case "end":
			byPID[e.pid].ended = i + 1
		case "killed":
			kills = append(kills, i+1)
		}
	}
	return list, kills
}

// running returns the executions that have started and not ended.
func (l *lab) running() (list []*execution) {
	all, _ := l.executions()
	for _, e := range all {
		if e.ended == 0 && isExperiment(e.pid) {
			list = append(list, e)
		}
	}
	return list
}

// ended returns how many executions have ended by themselves.
func (l *lab) ended() (count int) {
	all, _ := l.executions()
	for _, e := range all {
		if e.ended > 0 {
			count++
		}
	}
	return count
}

// awaitRunning waits until exactly n executions run, and returns them.
func (l *lab) awaitRunning(n int) (running []*execution) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("%d experiments run", n), func() string {
		if running = l.running(); len(running) == n {
			return ""
		}
		return fmt.Sprintf("%d run", len(running))
	})
	return running
}

// awaitEnded waits until at least n executions have ended.
func (l *lab) awaitEnded(n int) {
	l.t.Helper()
	eventually(l.t, fmt.Sprintf("%d experiments have ended", n), func() string {
		if got := l.ended(); got < n {
			return fmt.Sprintf("%d have", got)
		}
		return ""
	})
}

// wantOnce checks that each of the tasks was executed once, as its first attempt, and nothing else was.
func (l *lab) wantOnce(tasks ...string) {
	l.t.Helper()
	all, _ := l.executions()
	counts := map[string]int{}
	for _, e := range all {
		counts[e.id]++
		if e.attempt != 1 {
			l.t.Errorf("%s was executed as attempt %d", e.id, e.attempt)
		}
	}
	for _, id := range tasks {
		if counts[id] != 1 {
			l.t.Errorf("%s was executed %d times", id, counts[id])
		}
		delete(counts, id)
	}
	if len(counts) > 0 {
		l.t.Errorf("executed beyond that: %v", counts)
	}
}

// wantAgainOnlyAfterKills checks that every task was executed to its end, and again only where a kill had ended it, or
// had come so soon after its end that nobody had heard of it: that is at most as many of the last ends before the kill as
// there were slots.
func (l *lab) wantAgainOnlyAfterKills(slots int, tasks ...string) {
	l.t.Helper()
	all, kills := l.executions()
	last := map[string]*execution{}
	for _, e := range all {
		if before := last[e.id]; before != nil && !excused(before, e, all, kills, slots) {
			l.t.Errorf("%s was executed again without need: attempt %d began at line %d, attempt %d at line %d (kills: %v)",
				e.id, before.attempt, before.started, e.attempt, e.started, kills)
		}
		last[e.id] = e
	}
	for _, id := range tasks {
		if last[id] == nil || last[id].ended == 0 {
			l.t.Errorf("%s was never executed to its end", id)
		}
		delete(last, id)
	}
	if len(last) > 0 {
		l.t.Errorf("executed beyond that: %v", last)
	}
}

// excused reports whether a kill between an execution and the next one of its task explains the latter.
func excused(before, again *execution, all []*execution, kills []int, slots int) bool {
	for _, kill := range kills {
		if kill < before.started || kill > again.started {
			continue
		}
		if before.ended == 0 || before.ended < kill && endsBetween(all, before.ended, kill) < slots {
			return true
		}
	}
	return false
}

func endsBetween(all []*execution, from, to int) (count int) {
	for _, e := range all {
		if e.ended > from && e.ended < to {
			count++
		}
	}
	return count
}

// wantNoneAlive checks that no experiment is left.
func (l *lab) wantNoneAlive() {
	l.t.Helper()
	for _, e := range l.running() {
		l.t.Errorf("%s, attempt %d, is still alive as process %d", e.id, e.attempt, e.pid)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
