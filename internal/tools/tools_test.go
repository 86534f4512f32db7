package tools

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"

	"autoresearch/pkg/api"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// search minimises a loss.
type search []spec.TaskSpec

func (s search) Load(context.Context) ([]spec.TaskSpec, error) { return s, nil }

func (s search) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (s search) OnResult(context.Context, spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error) {
	return nil, nil
}

func (s search) Summarize(context.Context, string) (string, error) { return "", nil }

func (s search) Objective() spec.Objective { return spec.Objective{Metric: "loss"} }

// experiment fails for what is called bad and completes for all else.
func experiment(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	if strings.HasPrefix(string(a.Task.ID), "bad") {
		return spec.TaskResult{}, errors.New("no such file: batch " + string(a.Task.ID[3:]))
	}
	return spec.TaskResult{Metrics: map[string]float64{"loss": 0.25}}, nil
}

func task(id string) spec.TaskSpec { return spec.TaskSpec{ID: spec.TaskID(id), Kind: spec.KindDefault} }

// serving runs a coordinator with its API and a worker, and returns the API's address.
func serving(t *testing.T, specs ...spec.TaskSpec) string {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	nats, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.New(coordinator.Options{
		Conn: conn, Run: "demo", Workflow: search(specs), MaxConcurrency: 2, Seed: 1, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := api.NewServer(api.Options{Logger: quiet, Loopback: true, Version: "test"})
	server.Register(c)
	web := httptest.NewServer(server)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { _, err := c.Run(ctx); ended <- err }()
	go func() {
		ended <- worker.Run(ctx, worker.Options{
			Conn: conn, Dir: t.TempDir(), Slots: map[string]int{spec.ClassDefault: 1}, Heartbeat: 100 * time.Millisecond, Logger: quiet,
			Runners: map[string]spec.Runner{spec.KindDefault: spec.RunnerFunc(experiment)},
		})
	}()
	t.Cleanup(func() {
		cancel()
		web.Close()
		for _, err := range []error{<-ended, <-ended, conn.Close(), nats.Shutdown()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return web.URL
}

// model is a client of the tools.
type model struct {
	*mcp.ClientSession
	t *testing.T
}

func newModel(t *testing.T, o Options) *model {
	t.Helper()
	here, there := mcp.NewInMemoryTransports()
	ended := make(chan error, 1)
	go func() { ended <- New(o).Run(context.Background(), there) }()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(session.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return &model{session, t}
}

// call calls a tool; the answer of one that failed is its error's text.
func (m *model) call(tool string, arguments map[string]any, to any) (failure string) {
	m.t.Helper()
	r, err := m.CallTool(m.t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		return err.Error()
	}
	text := r.Content[0].(*mcp.TextContent).Text
	if r.IsError {
		return text
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		m.t.Fatalf("%s: %v in %s", tool, err, text)
	}
	return ""
}

func (m *model) must(tool string, arguments map[string]any, to any) {
	m.t.Helper()
	if failure := m.call(tool, arguments, to); failure != "" {
		m.t.Fatalf("%s %v: %s", tool, arguments, failure)
	}
}

func opener(address string) func() (*api.Client, error) {
	return func() (*api.Client, error) {
		return api.NewClient(api.ClientOptions{Server: address, By: "anna by a model"})
	}
}

// TestSupervising is a model at work: it looks, sees what fails, and steers.
func TestSupervising(t *testing.T) {
	t.Parallel()
	m := newModel(t, Options{Open: opener(serving(t, task("a"), task("bad1"), task("bad2"), task("bad3"))), Version: "test"})
	var run api.Run
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if m.call("run_status", nil, &run) == "" && run.Counts != nil && run.Counts.Failed == 3 && run.Counts.Completed == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never ended: %+v", run)
		}
	}
	if run.Name != "demo" || run.Best == nil || run.Best.Task != "a" {
		t.Errorf("%+v", run)
	}
	var failures Triage
	m.must("failures", map[string]any{"run": "demo"}, &failures)
	if failures.Failed != 3 || failures.LookedAt != 3 || len(failures.Groups) != 1 {
		t.Fatalf("%+v", failures)
	}
	group := failures.Groups[0]
	if group.Count != 3 || !strings.HasPrefix(string(group.Example.Task), "bad") || len(group.Others) != 2 || !strings.Contains(group.Example.Message, "no such file: batch") {
		t.Errorf("%+v", group)
	}
	var list api.TaskList
	m.must("list_tasks", map[string]any{"status": []string{"completed"}}, &list)
	var detail api.TaskDetail
	m.must("show_task", map[string]any{"task": "a"}, &detail)
	if len(list.Tasks) != 1 || detail.Result == nil || detail.Result.Metrics["loss"] != 0.25 {
		t.Errorf("%+v, %+v", list, detail)
	}
	for _, tool := range []string{"history", "tree", "workers", "events"} {
		m.must(tool, nil, &map[string]any{})
	}
	report, err := m.CallTool(t.Context(), &mcp.CallToolParams{Name: "report"})
	if err != nil || !strings.HasPrefix(report.Content[0].(*mcp.TextContent).Text, "# Search") {
		t.Errorf("report: %+v, %v", report, err)
	}
	m.must("task_logs", map[string]any{"task": "a"}, &Tail{})

	var submitted api.SubmitAnswer
	more := []map[string]any{{"id": "b", "parent": "a", "payload": map[string]any{"lr": 0.1}}}
	if failure := m.call("submit_tasks", map[string]any{"tasks": more, "reason": " "}, &submitted); !strings.Contains(failure, "reason") {
		t.Errorf("a change without a reason: %q", failure)
	}
	m.must("control_run", map[string]any{"action": "pause", "reason": "to look"}, &run)
	m.must("submit_tasks", map[string]any{"tasks": more, "reason": "an idea"}, &submitted)
	var changed api.ChangeAnswer
	m.must("set_priority", map[string]any{"task": "b", "priority": -5, "reason": "it is promising"}, &changed)
	m.must("cancel_task", map[string]any{"task": "b", "dry_run": true, "reason": "perhaps"}, &changed)
	m.must("retry_task", map[string]any{"task": "bad1", "reason": "bad luck"}, &api.RetryAnswer{})
	m.must("set_budget", map[string]any{"budget": 1, "reason": "others need room"}, &run)
	if submitted.Accepted != 1 || !run.Paused || run.Budget != 1 {
		t.Errorf("%+v, %+v", submitted, run)
	}
	var events api.EventList
	m.must("events", map[string]any{"types": []string{"change"}}, &events)
	reasons := make([]string, len(events.Events))
	for i, e := range events.Events {
		reasons[i] = e.Change.Reason
	}
	if want := []string{"to look", "an idea", "it is promising", "bad luck", "others need room"}; !slices.Equal(reasons, want) {
		t.Errorf("reasons %q, want %q", reasons, want)
	}
	if failure := m.call("show_task", map[string]any{"task": "nobody"}, nil); !strings.Contains(failure, `no task "nobody"`) {
		t.Errorf("a task that there is not: %q", failure)
	}
}

// TestReadOnly holds what changes anything out of a server that is read-only, and every tool to say what it is.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	open := func() (*api.Client, error) { return nil, errors.New("nobody is there") }
	all, looking := tools(t, Options{Open: open}), tools(t, Options{Open: open, ReadOnly: true})
	if len(looking) != 10 || len(all) != len(looking)+6 {
		t.Errorf("%d tools, %d of them for looking", len(all), len(looking))
	}
	for _, tool := range all {
		reads := slices.ContainsFunc(looking, func(l *mcp.Tool) bool { return l.Name == tool.Name })
		if tool.Annotations.ReadOnlyHint != reads || len(tool.Description) < 40 {
			t.Errorf("%s: read-only %v, %q", tool.Name, tool.Annotations.ReadOnlyHint, tool.Description)
		}
	}
}

func tools(t *testing.T, o Options) []*mcp.Tool {
	t.Helper()
	m := newModel(t, o)
	list, err := m.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if failure := m.call("run_status", nil, nil); !strings.Contains(failure, "nobody is there") {
		t.Errorf("without a server: %q", failure)
	}
	return list.Tools
}

// TestTriage holds what counts as one cause.
func TestTriage(t *testing.T) {
	t.Parallel()
	failed := func(id, message string) *api.Task {
		return &api.Task{ID: spec.TaskID(id), Failure: &api.Failure{Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob, Message: message}}
	}
	var triage Triage
	places := make(map[string]int)
	for i, message := range []string{
		`CUDA out of memory: 12.5 GiB at 0x7fae1c on "gpu-3"`, `CUDA out of memory: 9.25 GiB at 0x11aa22 on "gpu-1"`, "loss is NaN at step 17",
	} {
		triage.add(failed(string(rune('a'+i)), message), places)
	}
	triage.add(&api.Task{ID: "x", Cancelled: true, Failure: &api.Failure{}}, places)
	if triage.LookedAt != 3 || len(triage.Groups) != 2 || triage.Groups[0].Count != 2 || triage.Groups[0].Others[0] != "b" {
		t.Errorf("%+v", triage)
	}
	if lines := lastLines("a\nb\nc\n\n", 2); !slices.Equal(lines, []string{"b", "c"}) {
		t.Errorf("last lines %q", lines)
	}
}
