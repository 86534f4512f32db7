//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus/bustest"
)

// interruptedSearch is a search that was stopped with one experiment under way and two queued.
func interruptedSearch(t *testing.T) *search {
	t.Helper()
	s := newSearch(t, 1, append(tasks(1, "held%d", payload{"gate": "go"}), tasks(2, "queued%d", payload{})...), "")
	engine := s.begin()
	s.lab.awaitRunning(1)
	engine.signal(syscall.SIGTERM)
	engine.wantExit(143)
	s.lab.killed()
	s.lab.open("go")
	return s
}

// wantGoesOn checks that an interrupted search is as whole as it was.
func (s *search) wantGoesOn() {
	s.t.Helper()
	s.resume().wantExit(0)
	s.workdir.wantCompleted("held1", "queued1", "queued2")
}

// TestRefusedStart starts the engine in ways that cannot work: each is refused with what is wrong and what to do, and
// costs nothing.
func TestRefusedStart(t *testing.T) {
	t.Parallel()
	s := interruptedSearch(t)
	before := s.workdir.contents()
	good := readFile(t, s.workflow)
	bare := startBareNATS(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // whatever is wrong with it, the test is over
	for _, c := range []struct {
		name     string
		workflow string // its text; "": none is named
		args     []string
		words    []string
	}{
		{"broken YAML", "name: e2e\nkinds: [\n", nil, []string{"broken_YAML.yaml:3:1", "not YAML"}},
		{"an unknown key", "max_concurency: 2\n" + good, nil,
			[]string{"an_unknown_key.yaml:1:1", "max_concurency", "did you mean max_concurrency"}},
		{"a bad value", strings.Replace(good, "max_concurrency: 1", "max_concurrency: many", 1), nil,
			[]string{"a_bad_value.yaml:3:", "max_concurrency", `"many"`}},
		{"nothing to run", "name: e2e\nkinds: {default: {command: [x]}}\n", nil, []string{"nothing to run", "initial"}},
		{"an override of an unknown key", "", []string{"--", "stop.max_experimens=3"},
			[]string{"stop.max_experimens", "did you mean", "max_experiments"}},
		{"a taken port", "", []string{"--http", taken.Addr().String()}, []string{taken.Addr().String(), "in use", "--http"}},
		{"a public address", "", []string{"--http", "0.0.0.0:0"}, []string{"--http", "loopback"}},
		{"no JetStream", "", []string{"--nats", bare.url()}, []string{"without JetStream", "nats-server -js"}},
		{"no server", "", []string{"--nats", fmt.Sprintf("nats://127.0.0.1:%d", bustest.FreePort(t))},
			[]string{"cannot reach NATS", "127.0.0.1", "nats-server -js"}},
		{"another run's name", "", []string{"--run", "other"}, []string{`"other"`, `"e2e"`, "--run"}},
		{"a bad log level", "", []string{"--log-level", "loud"}, []string{"--log-level", "loud", "debug"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"engine", "--workdir", s.workdir.dir}, c.args...)
			if c.workflow != "" {
				path := s.lab.write(strings.ReplaceAll(c.name, " ", "_")+".yaml", c.workflow)
				args = append([]string{"engine", "--workflow", path}, args[1:]...)
			}
			start(t, "autoresearch", args...).wantRefusal(c.words...)
			s.workdir.wantUnchanged(before)
		})
	}
	s.wantGoesOn()
}

// TestRefusedDaemon starts coordinator and worker where they cannot work.
func TestRefusedDaemon(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	bare := startBareNATS(t)
	coordinator := []string{"--workflow", lab.workflow(1, tasks(1, "t%d", payload{}), ""), "--workdir", newWorkdir(t).dir, "--http", ""}
	worker := []string{"--dir", t.TempDir()}
	nobody := fmt.Sprintf("nats://127.0.0.1:%d", bustest.FreePort(t))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // whatever is wrong with it, the test is over
	good := startNATS(t)
	for name, args := range map[string][]string{"coordinator": coordinator, "worker": worker} {
		start(t, name, append(args, "--nats", good.url(), "--http", taken.Addr().String())...).
			wantRefusal(taken.Addr().String(), "in use", "--http")
		start(t, name, append(args, "--nats", bare.url())...).wantRefusal("without JetStream", "nats-server -js")
		waiting := start(t, name, append(args, "--nats", nobody)...)
		waiting.says("not reachable yet.*cannot reach NATS.*" + nobody + ".*nats-server -js")
		waiting.signal(syscall.SIGTERM)
		waiting.wantExit(0)
	}
}

// TestDaemonsBeforeNATS starts coordinator and worker before there is a server: they live and are not ready, and work as
// soon as it comes.
func TestDaemonsBeforeNATS(t *testing.T) {
	t.Parallel()
	all := tasks(2, "t%d", payload{})
	f := newFleet(t, 1, all)
	f.nats.kill()
	w := newWorkdir(t)
	coordinator, worker := f.coordinator(w), f.worker(f.newWorkerDir(), 1)
	for _, d := range []*daemon{coordinator, worker} {
		d.says("NATS is not reachable yet")
		d.awaitCode("/readyz", http.StatusServiceUnavailable)
		d.awaitCode("/healthz", http.StatusOK)
	}
	f.nats.restart()
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestCoordinatorToldTwice ends a coordinator that cannot write its last words: at the second signal it does not wait.
func TestCoordinatorToldTwice(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, heldAndQueued(1))
	coordinator := f.coordinator(newWorkdir(t))
	coordinator.awaitRole("leader")
	f.nats.signal(syscall.SIGSTOP)
	coordinator.signal(syscall.SIGTERM)
	began := time.Now()
	for !coordinator.hasExited() && time.Since(began) < waitMax {
		time.Sleep(waitPoll)
		coordinator.signal(syscall.SIGTERM)
	}
	coordinator.wantExit(143)
	f.nats.kill()
}

// startBareNATS starts a server without JetStream.
func startBareNATS(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{port: bustest.FreePort(t)}
	s.process = start(t, "nats-server", "-a", "127.0.0.1", "-p", fmt.Sprint(s.port))
	s.says("Server is ready")
	return s
}

// TestWorkdirInUse starts a second engine, and a coordinator, in the workdir of one that runs.
func TestWorkdirInUse(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, tasks(2, "t%d", payload{"gate": "go"}), "")
	engine := s.begin()
	s.lab.awaitRunning(1)
	before := s.workdir.read("workflow.yaml") + s.workdir.read("workflow_factory.json")
	other := s.lab.write("other.yaml", "name: e2e\nkinds: {default: {command: [x]}}\ninitial: [{id: other}]\n")
	holder := fmt.Sprintf("pid %d", engine.cmd.Process.Pid)
	start(t, "autoresearch", "engine", "--workflow", other, "--workdir", s.workdir.dir).
		wantRefusal(s.workdir.dir, "in use", holder, "another workdir")
	nats := startNATS(t)
	start(t, "coordinator", "--workflow", other, "--workdir", s.workdir.dir, "--nats", nats.url(), "--http", "").
		wantRefusal(s.workdir.dir, "in use", holder, "another workdir")
	if after := s.workdir.read("workflow.yaml") + s.workdir.read("workflow_factory.json"); after != before {
		t.Errorf("the workdir's record of its workflow was changed by a program that was refused:\n%s", after)
	}
	s.lab.open("go")
	engine.wantExit(0)
	s.workdir.wantCompleted("t1", "t2")
}

// TestWorkerDirInUse starts a second worker in the directory of one that runs.
func TestWorkerDirInUse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, tasks(1, "t%d", payload{}))
	dir := f.newWorkerDir()
	f.worker(dir, 1).awaitCode("/healthz", http.StatusOK)
	start(t, "worker", "--dir", dir, "--nats", f.nats.url()).wantRefusal(dir, "in use", "a directory of its own")
}

// TestTruncatedState cuts engine_state.json in half.
func TestTruncatedState(t *testing.T) {
	t.Parallel()
	s := interruptedSearch(t)
	whole := s.workdir.read("engine_state.json")
	writeFile(t, s.workdir.path("engine_state.json"), whole[:len(whole)/2])
	before := s.workdir.contents()
	s.resume().wantRefusal(s.workdir.path("engine_state.json"), "line ", "column ", "restore", "--ignore-edits")
	s.resume("--adopt-edits").wantRefusal(s.workdir.path("engine_state.json"), "line ", "column ")
	s.workdir.wantUnchanged(before)
	s.resume("--ignore-edits").wantExit(0)
	s.workdir.wantCompleted("held1", "queued1", "queued2")
}

// foreignSearch is a search in a workdir whose engine_state.json the original left, cut in half.
func foreignSearch(t *testing.T) (s *search, whole string) {
	t.Helper()
	s = newSearch(t, 1, tasks(1, "fresh%d", payload{}), "")
	whole = readFile(t, seedFiles+"/engine_state.interrupted.json")
	writeFile(t, s.workdir.path("engine_state.json"), whole[:len(whole)/2])
	return s, whole
}

// TestTruncatedForeignState finds the original's file cut in half: it stays as it is until a person has mended it.
func TestTruncatedForeignState(t *testing.T) {
	t.Parallel()
	s, whole := foreignSearch(t)
	path := s.workdir.path("engine_state.json")
	s.begin().wantRefusal(path, "line ", "column ")
	if got := readFile(t, path); got != whole[:len(whole)/2] {
		t.Errorf("the file was changed:\n%s", got)
	}
	writeFile(t, path, whole)
	s.begin().wantExit(0)
	s.workdir.wantCompleted("exp_001", "exp_002", "exp_003")
}

// TestTruncatedForeignStateIgnored takes the refusal at its word: whatever way on it offers must be one.
func TestTruncatedForeignStateIgnored(t *testing.T) {
	t.Parallel()
	s, _ := foreignSearch(t)
	engine := s.begin()
	engine.wantRefusal("engine_state.json")
	if strings.Contains(engine.output.String(), "--ignore-edits") {
		s.begin("--ignore-edits").wantExit(0)
		s.workdir.wantCompleted("fresh1")
	}
}

// TestBadResults has experiments leave results that cannot be taken: each costs its own task, and only that.
func TestBadResults(t *testing.T) {
	t.Parallel()
	bad := map[string]payload{
		"unknown_kind": {"result": `{"failure": {"kind": "made_up", "phase": "job"}}`},
		"not_json":     {"result": "loss: 3"},
		"not_numbers":  {"result": `{"metrics": {"loss": "low"}}`},
		"large":        {"child_bytes": 2 << 20},
		"own_id":       {"result": `{"children": [{"payload": {}}]}`},
	}
	all := tasks(2, "good%d", payload{"loss": 1})
	failed := map[string]string{}
	for id, p := range bad {
		all = append(all, task{ID: id, Payload: p, Priority: -1})
		failed[id] = "metrics_collection_failed"
	}
	s := newSearch(t, 2, all, "limits: {result: 1MiB}")
	s.begin().wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantEnded([]string{"good1", "good2"}, failed)
	tree := s.workdir.tree()
	for id, words := range map[string][]string{
		"unknown_kind": {"result.json", "failure.kind", "made_up", "line 1"},
		"not_json":     {"result.json", "line 1"},
		"not_numbers":  {"result.json", "metrics.loss", "line 1"},
		"large":        {"too large", "leave large data in files"},
		"own_id":       {"result.json", "children[0].id", "missing"},
	} {
		for _, word := range words {
			if tree[id].Failure != nil && !strings.Contains(tree[id].Failure.Message, word) {
				t.Errorf("the failure of %s does not say %q: %s", id, word, tree[id].Failure.Message)
			}
		}
	}
	if got := tree["large"].Failure.Details.Cause; got != "result_too_large" {
		t.Errorf("the cause of the large result is %q", got)
	}
}

// TestLargePayload takes a queue over that has a payload larger than the default limit of a NATS message.
func TestLargePayload(t *testing.T) {
	t.Parallel()
	small, large := task{ID: "small"}, task{ID: "large", Payload: payload{"text": strings.Repeat("x", 2<<20)}}
	t.Run("embedded server", func(t *testing.T) {
		t.Parallel()
		s := newSearch(t, 1, nil, "proposer: {command: [/bin/true]}")
		s.workdir.writeState(state{Status: "interrupted", Queued: []task{large, small}})
		s.begin().wantExit(0)
		s.workdir.wantCompleted("large", "small")
	})
	t.Run("server with the default limit", func(t *testing.T) {
		t.Parallel()
		s := newSearch(t, 1, nil, "proposer: {command: [/bin/true]}")
		s.workdir.writeState(state{Status: "interrupted", Queued: []task{large, small}})
		nats := startNATS(t)
		s.trail.store = nats.store
		s.begin("--nats", nats.url()).wantExit(0)
		s.workdir.wantCompleted("large", "small")
	})
}

// TestMissingCommand names a program that does not exist: every experiment fails to launch and the search ends by itself.
func TestMissingCommand(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 2, nil, "")
	s.workflow = s.lab.write("missing.yaml", "name: e2e\nkinds: {default: {command: [./no-such-program], retries: 2}}\n"+
		"initial: [{id: a}, {id: b}, {id: c}]\n")
	s.begin().wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantEnded(nil, map[string]string{"a": "launch_failed", "b": "launch_failed", "c": "launch_failed"})
	if message := s.workdir.tree()["a"].Failure.Message; !strings.Contains(message, "no-such-program") {
		t.Errorf("the failure does not name the program: %s", message)
	}
}

// TestJournalDeletedWhileStopped removes what NATS keeps of a run that the workdir remembers.
func TestJournalDeletedWhileStopped(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, tasks(3, "t%d", payload{}), "stop: {max_experiments: 1}")
	s.trail.excused = true // the journal is gone
	s.begin().wantExit(0)
	if err := os.RemoveAll(s.workdir.path("engine/nats")); err != nil {
		t.Fatal(err)
	}
	before := s.workdir.contents()
	for range 2 { // the first refusal must not make a journal that the second one finds
		s.resume().wantRefusal(`run "e2e"`, "journal", "gone", "backup", "engine_state.json")
		s.workdir.wantUnchanged(before)
	}
	s.lab.wantOnce("t1")
}

// TestJournalDeletedWhileRunning deletes the journal's stream under a coordinator: it raises the alarm, dispatches nothing
// more and stays to tell; the engine ends with an error.
func TestJournalDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, tasks(3, "t%d", payload{"gate": "go"}))
	f.trail.excused = true // the journal is gone
	f.worker(f.newWorkerDir(), 1)
	w := newWorkdir(t)
	coordinator := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", w.dir)
	f.lab.awaitRunning(1)
	f.nats.deleteStream("AR_JOURNAL_e2e")
	f.lab.open("go")
	coordinator.says("alarm")
	coordinator.awaitCode("/readyz", 503)
	if _, body := coordinator.get("/readyz"); !strings.Contains(body, "journal stream is gone") || !strings.Contains(body, "alarmed") {
		t.Errorf("/readyz says %s", body)
	}
	coordinator.awaitMetric("autoresearch_alarm", 1)
	coordinator.awaitMetric("autoresearch_leader", 0)
	coordinator.signal(syscall.SIGTERM)
	coordinator.wait()
	f.lab.wantOnce("t1")

	engine := start(t, "autoresearch", "engine", "--workdir", w.dir, "--nats", f.nats.url())
	engine.wantRefusal(`run "e2e"`, "journal stream is gone")
}

// TestJournalDeletedUnderEngine deletes the journal's stream under the engine command: it ends with the alarm.
func TestJournalDeletedUnderEngine(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	s := newSearch(t, 1, tasks(3, "t%d", payload{"gate": "go"}), "")
	s.trail.excused = true // the journal is gone
	engine := s.begin("--nats", nats.url())
	s.lab.awaitRunning(1)
	nats.deleteStream("AR_JOURNAL_e2e")
	s.lab.open("go")
	engine.wantRefusal(`run "e2e"`, "journal stream is gone", "backup")
	s.lab.wantNoneAlive()
	s.lab.wantOnce("t1")
}

// deleteStream deletes a stream as an operator's mistake does.
func (s *natsServer) deleteStream(name string) {
	s.t.Helper()
	conn, err := nats.Connect(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err == nil {
		err = js.DeleteStream(context.Background(), name)
	}
	if err != nil {
		s.t.Fatalf("delete stream %s: %v", name, err)
	}
}
