//go:build linux

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestTaskThatKillsItsWorkers has an experiment that kills its worker, which comes back each time, as under a supervisor:
// in the end the task fails with the evidence, and the other experiments have run.
func TestTaskThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	const lostMax = 2
	good := tasks(3, "good%d", payload{})
	f := newFleet(t, 1, append([]task{{ID: "killer", Priority: -1, Payload: payload{"kill_worker": true, "seconds": 0.2}}}, good...))
	w, dir := newWorkdir(t), f.newWorkerDir()
	coordinator := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", w.dir, "--exit-when-stopped", "--max-lost", fmt.Sprint(lostMax))
	for deaths := 0; !coordinator.hasExited(); {
		worker := f.worker(dir, 1)
		select {
		case <-worker.exited:
			deaths++
		case <-coordinator.exited:
		case <-time.After(waitMax):
			t.Fatalf("the worker died %d times, and nothing happens: %s", deaths, coordinator)
		}
	}
	coordinator.wantExit(0)
	w.wantEnded(ids(good), map[string]string{"killer": "job_runtime_failed"})
	failure := w.tree()["killer"].Failure
	if failure.Details.Cause != "lost" || len(failure.Details.Losses) != lostMax+1 || !strings.Contains(failure.Message, "max-lost") {
		t.Errorf("it was filed as %+v", failure)
	}
	for i, loss := range failure.Details.Losses {
		if loss.Attempt == 0 || loss.Worker == "" || loss.LostAt == "" {
			t.Errorf("loss %d says too little: %+v", i, loss)
		}
	}
	f.lab.wantNoneAlive()
}

// TestMetricsThatAreNoNumbers has experiments print NaN and infinities: they are kept as they are, and never the best.
func TestMetricsThatAreNoNumbers(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, []task{
		{ID: "nan", Payload: payload{"prints": "NaN"}}, {ID: "worse", Payload: payload{"loss": 7}},
		{ID: "least", Payload: payload{"prints": "-Infinity"}}, {ID: "better", Payload: payload{"loss": 3}},
		{ID: "most", Payload: payload{"prints": "Infinity"}}, {ID: "file", Payload: payload{"result": `{"metrics": {"loss": NaN}}`}},
	}, "")
	s.begin().wantExit(0)
	values, best := map[string]string{}, ""
	for _, row := range s.workdir.table() {
		values[row["id"]], best = row["metric"], row["best_so_far"]
	}
	wantSame(t, "master_table.tsv", values, map[string]string{
		"nan": "NaN", "worse": "7", "least": "-Infinity", "better": "3", "most": "Infinity", "file": "NaN",
	})
	if best != "3" {
		t.Errorf("the best is %s", best)
	}
}

// TestPoisonousChildren has experiments return what no tree may hold: each costs its own task, or the child alone.
func TestPoisonousChildren(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, []task{
		{ID: "million", Payload: payload{"child_count": 1_000_000}},
		{ID: "narcissus", Payload: payload{"children": []task{{ID: "narcissus"}, {ID: "echo"}}}},
	}, "")
	s.begin().wantExit(0)
	s.workdir.wantEnded([]string{"narcissus", "echo"}, map[string]string{"million": "planning_failed"})
	tree := s.workdir.tree()
	if children := tree["narcissus"].Children; len(children) != 1 || children[0] != "echo" {
		t.Errorf("narcissus has the children %v", children)
	}
	if message := tree["million"].Failure.Message; !strings.Contains(message, "1000000 children") || !strings.Contains(message, "limits.children") {
		t.Errorf("a million children: %s", message)
	}
	rules := map[string]string{}
	for _, r := range rejected(t, s.workdir.dir) {
		rules[r.Task+"/"+r.Child] = r.Rule
	}
	wantSame(t, "rejected list", rules, map[string]string{"million/": "too_many_children", "narcissus/narcissus": "bad_child"})
}

// rejection is what `rejected` says of one.
type rejection struct {
	Number  int
	Rule    string
	Reason  string
	Worker  string
	Run     string
	Task    string
	Attempt int
	Child   string
	Size    int
	Data    []byte
}

// rejected asks what a run rejected.
func rejected(t *testing.T, where ...string) (list []rejection) {
	t.Helper()
	text := ask(t, append(append([]string{"rejected", "list"}, where...), "-o", "json")...)
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("rejected list: %v: %s", err, text)
	}
	return list
}

// poisoned is a message, and the rule that refuses it.
type poisoned struct {
	rule string
	data []byte
}

// TestPoisonByHand publishes on the run's subjects what no worker of ours would: each message is rejected with its reason
// and kept as it came, and neither the coordinator nor the experiment under way notices.
func TestPoisonByHand(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(1)
	f := newFleet(t, 1, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 1)
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(1)
	epoch := coordinator.awaitRole("leader").Epoch
	held := spec.AttemptRef{Run: "e2e", Task: "held1", Attempt: 1, Claim: 1}
	poison := []poisoned{
		{"malformed", []byte("\xc1\xc1\xc1\xc1")},
		{"malformed", nil},
		{"malformed", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}}, // an array of four thousand million
		{"forged_attempt", f.result(held, func(r *spec.AttemptRef) { r.Attempt = 99 })},
		{"another_run", f.result(held, func(r *spec.AttemptRef) { r.Run = "another" })},
		{"unknown_task", f.result(held, func(r *spec.AttemptRef) { r.Task = "nobody" })},
		{"no_claim", f.result(held, func(r *spec.AttemptRef) { r.Claim = 0 })},
	}
	for _, p := range poison {
		f.nats.publish("ar.result.e2e.evil", p.data)
		f.nats.publish("ar.up.evil", p.data) // that a heartbeat is rubbish concerns nobody but its worker
	}
	where := []string{"--nats", f.nats.url(), "--run", "e2e"}
	var list []rejection
	eventually(t, "all is rejected", func() string {
		if list = rejected(t, where...); len(list) == len(poison) {
			return ""
		}
		return fmt.Sprintf("%+v", list)
	})
	// What is refused unread may overtake what the engine refuses.
	slices.SortStableFunc(list, func(a, b rejection) int { return cmp.Compare(a.Rule, b.Rule) })
	slices.SortStableFunc(poison, func(a, b poisoned) int { return cmp.Compare(a.rule, b.rule) })
	for i, p := range poison {
		r := list[i]
		if r.Rule != p.rule || r.Reason == "" || r.Worker != "evil" {
			t.Errorf("%d was rejected as %+v, want %s", i, r, p.rule)
		}
		if said := ask(t, append(append([]string{"rejected", "show"}, where...), fmt.Sprint(r.Number))...); !strings.Contains(said, p.rule) {
			t.Errorf("rejected show %d: %s", r.Number, said)
		}
	}
	if now := coordinator.awaitRole("leader").Epoch; now != epoch {
		t.Errorf("it leads in epoch %d, before it was %d", now, epoch)
	}
	coordinator.awaitCode("/healthz", http.StatusOK)
	wantSameProcesses(t, running, f.lab.awaitRunning(1))
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// result is a message with the result of an attempt that is not quite the one under way.
func (f *fleet) result(ref spec.AttemptRef, forge func(*spec.AttemptRef)) []byte {
	f.t.Helper()
	forge(&ref)
	data, err := bus.EncodeResultMessage(&bus.ResultMessage{
		Version: bus.MessageVersion, Worker: "evil", Boot: 1, Reports: []bus.Report{{AttemptRef: ref, Body: []byte("forged")}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return data
}

// publish publishes a message as anybody can who reaches the server.
func (s *natsServer) publish(subject string, data []byte) {
	s.t.Helper()
	conn, err := nats.Connect(s.url())
	if err == nil {
		err = conn.Publish(subject, data)
	}
	if err == nil {
		err = conn.Flush()
		conn.Close()
	}
	if err != nil {
		s.t.Fatalf("publish on %s: %v", subject, err)
	}
}
