package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/report"
	"autoresearch/pkg/spec"
)

// codeOf is the code of a refusal; "" for no error.
func codeOf(t *testing.T, err error) Code {
	t.Helper()
	if err == nil {
		return ""
	}
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("not a refusal: %v", err)
	}
	return p.Code
}

func wantCode(t *testing.T, err error, want Code) {
	t.Helper()
	if got := codeOf(t, err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestSubmitAnswersForEachTask(t *testing.T) {
	t.Parallel()
	n := newWorld(t).coordinate(task("first"))
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	changed := task("first")
	changed.Payload = spec.Payload(`{"x":1}`)
	request := SubmitRequest{Reason: "a test", Tasks: []spec.TaskSpec{task("first"), task("a"), changed, task("a"), task("b")}}
	dry := request
	dry.DryRun = true
	for _, r := range []SubmitRequest{dry, request} {
		got := must(c.Submit(ctx, "test", r))(t)
		said := fmt.Sprint(got.Accepted)
		for _, item := range got.Items {
			said += " " + string(item.ID) + ":" + item.Status
			if item.Error != nil {
				said += ":" + string(item.Error.Code)
			}
		}
		want := "2 first:exists a:accepted first:refused:duplicate_id a:exists b:accepted"
		if r.DryRun {
			want = "3 first:exists a:accepted first:refused:duplicate_id a:accepted b:accepted" // it does not look at itself
		}
		if said != want {
			t.Errorf("dry run %v: %s, want %s", r.DryRun, said, want)
		}
	}
	// Tasks that cannot be read are refused one by one.
	said := post(t, n, "/runs/test/tasks", `{"tasks":[{"id":"c"},{"priority":1},7,{"id":"d","priority":"NaN"},{"id":"d"}]}`)
	if want := `"accepted":2`; !strings.Contains(said, want) || strings.Count(said, `"refused"`) != 3 {
		t.Errorf("%s", said)
	}
	if got := must(c.Tasks(ctx, "test", TaskQuery{}))(t); len(got.Tasks) != 5 {
		t.Errorf("%d tasks", len(got.Tasks))
	}
	if status, _ := raw(t, n, http.MethodPost, "/runs/test/tasks", `{"tasks":[]}`, nil); status != http.StatusBadRequest {
		t.Errorf("no tasks: %d", status)
	}
}

func TestListFiltersSortsAndPages(t *testing.T) {
	t.Parallel()
	var specs []spec.TaskSpec
	for i := range 25 {
		ts := task(fmt.Sprintf("t%02d", i))
		ts.Priority = float64((i * 7) % 5)
		if i%5 == 0 {
			ts.Kind = "train"
		}
		if i > 0 {
			ts.Parent = spec.TaskID(fmt.Sprintf("t%02d", (i-1)/3))
		}
		ts.Payload = spec.Payload(fmt.Sprintf(`{"note":"Word%d"}`, i))
		specs = append(specs, ts)
	}
	n := newWorld(t).coordinate(specs...)
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	ids := func(q TaskQuery) (all []string) {
		t.Helper()
		for page := 0; ; page++ {
			list, err := c.Tasks(ctx, "test", q)
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range list.Tasks {
				all = append(all, string(task.ID))
			}
			if q.Cursor = list.Next; q.Cursor == "" {
				return all
			}
			if len(list.Tasks) != q.Limit {
				t.Errorf("a page of %d, want %d", len(list.Tasks), q.Limit)
			}
		}
	}
	for _, test := range []struct {
		q    TaskQuery
		want int
	}{
		{TaskQuery{}, 25},
		{TaskQuery{Status: []string{"queued"}}, 25},
		{TaskQuery{Status: []string{"running", "failed"}}, 0},
		{TaskQuery{Status: []string{"live"}}, 25},
		{TaskQuery{Kinds: []string{"train"}}, 5},
		{TaskQuery{Classes: []string{"gpu"}}, 5},
		{TaskQuery{Classes: []string{"gpu", "cpu"}}, 25},
		{TaskQuery{Parent: "t01"}, 3},
		{TaskQuery{Text: "wORD1"}, 11},
		{TaskQuery{Text: "t07"}, 1},
	} {
		q := test.q
		q.Limit = 4
		if got := ids(q); len(got) != test.want || len(slices.Compact(slices.Sorted(slices.Values(got)))) != test.want {
			t.Errorf("%+v: %v", test.q, got)
		}
	}
	byPriority := slices.Clone(specs)
	slices.SortStableFunc(byPriority, func(a, b spec.TaskSpec) int { return int(a.Priority - b.Priority) })
	var want []string
	for _, ts := range byPriority {
		want = append(want, string(ts.ID))
	}
	if got := ids(TaskQuery{Sort: "queue", Limit: 7}); !slices.Equal(got, want) {
		t.Errorf("queue: %v, want %v", got, want)
	}
	slices.Reverse(want)
	if got := ids(TaskQuery{Sort: "-priority", Limit: 7}); !slices.Equal(got, want) {
		t.Errorf("-priority: %v, want %v", got, want)
	}
	arrival := ids(TaskQuery{})
	slices.Reverse(arrival)
	if got := ids(TaskQuery{Sort: "-seq", Limit: 6}); !slices.Equal(got, arrival) {
		t.Errorf("-seq: %v", got)
	}
	for _, q := range []TaskQuery{{Sort: "size"}, {Sort: "-queue"}, {Status: []string{"happy"}}, {Cursor: "x"}, {Limit: 1001}} {
		_, err := c.Tasks(ctx, "test", q)
		wantCode(t, err, CodeInvalid)
	}
	tree := must(c.Tree(ctx, "test", "t01", "", 3))(t)
	if len(tree.Nodes) != 3 || tree.Nodes[0].ID != "t01" || tree.Nodes[2].Parent != "t01" || tree.Next == "" {
		t.Errorf("the tree below t01: %+v", tree)
	}
	rest := must(c.Tree(ctx, "test", "t01", tree.Next, 100))(t)
	whole := must(c.Tree(ctx, "test", "", "", 0))(t)
	if len(whole.Nodes) != 25 || len(rest.Nodes) != 1+3+9-3 || rest.Next != "" {
		t.Errorf("the tree has %d nodes, below t01 %d more", len(whole.Nodes), len(rest.Nodes))
	}
	_, err := c.Tree(ctx, "test", "nobody", "", 0)
	wantCode(t, err, CodeUnknownTask)
}

func TestShowAFinishedTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("ok"), task("bad"), spec.TaskSpec{ID: "flaky", Kind: "flaky"}, task("nan"))
	n.leads(t)
	w.work(map[string]int{spec.ClassDefault: 2}, func(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
		record := spec.FailureRecord{Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob, Message: "boom", Retryable: true}
		switch {
		case a.Task.ID == "bad", a.Task.ID == "flaky" && a.Number == 1:
			return spec.TaskResult{}, &spec.AutoresearchError{Record: record}
		case a.Task.ID == "ok":
			return spec.TaskResult{
				Metrics: map[string]float64{"loss": 0.5, "worst": math.Inf(1)}, Output: []byte(`{"x":NaN}`),
				Children: []spec.TaskSpec{{ID: "kid", Kind: spec.KindDefault}},
			}, nil
		case a.Task.ID == "nan":
			return spec.TaskResult{Metrics: map[string]float64{"loss": math.NaN()}}, nil
		}
		return spec.TaskResult{Metrics: map[string]float64{"loss": 0.25}}, nil
	})
	c, ctx := n.client(t), t.Context()
	eventually(t, "all is done", func() bool {
		run := must(c.Run(ctx, "test"))(t)
		return run.Status == "stopped" && run.Counts.Completed+run.Counts.Failed == 5
	})
	ok := must(c.Task(ctx, "test", "ok"))(t)
	if ok.State != "completed" || *ok.Value != 0.5 || !math.IsInf(float64(ok.Result.Metrics["worst"]), 1) ||
		string(ok.Result.Output) != `{"x":"NaN"}` || ok.ChildCount != 1 || ok.Children[0] != "kid" || ok.Worker == "" {
		t.Errorf("%+v", ok)
	}
	kid := must(c.Task(ctx, "test", "kid"))(t)
	if !slices.Equal(kid.Lineage, []spec.TaskID{"ok"}) || kid.Parent != "ok" || len(kid.Attempts) != 1 || kid.Attempts[0].Ending != "completed" {
		t.Errorf("%+v", kid)
	}
	bad := must(c.Task(ctx, "test", "bad"))(t)
	if bad.Failure == nil || bad.Failure.Message != "boom" || bad.Record == nil || bad.Attempts[0].Ending != "failed" || bad.Attempts[0].Worker != bad.Worker {
		t.Errorf("%+v", bad)
	}
	flaky := must(c.Task(ctx, "test", "flaky"))(t)
	if len(flaky.Attempts) != 2 || flaky.Attempts[0].Ending != "failed" || flaky.Failures != 1 || flaky.State != "completed" {
		t.Errorf("%+v", flaky)
	}
	best := must(c.Tasks(ctx, "test", TaskQuery{Sort: "best", Limit: 2}))(t)
	if best.Tasks[0].ID != "flaky" && best.Tasks[0].ID != "kid" || float64(*best.Tasks[0].Value) != 0.25 {
		t.Errorf("the best: %+v", best.Tasks)
	}
	history := must(c.History(ctx, "test", 0))(t)
	if history.Total != 4 || history.Best == nil || history.Best.Value != 0.25 || history.Objective.Direction != "minimize" {
		t.Errorf("%+v", history)
	}
	_, err := c.Task(ctx, "test", "nobody")
	wantCode(t, err, CodeUnknownTask)
	_, err = c.Run(ctx, "nothing")
	wantCode(t, err, CodeUnknownRun)
	for _, format := range []string{FormatCSV, FormatJSONL} {
		text := readAll(t, func() (io.ReadCloser, error) { return c.Export(ctx, "test", format) })
		if lines := strings.Count(text, "\n"); lines != map[string]int{FormatCSV: 6, FormatJSONL: 5}[format] || !strings.Contains(text, "kid") {
			t.Errorf("%s: %s", format, text)
		}
	}
	for file, want := range map[string]string{
		report.ReportFile: "# Search", report.SummaryFile: "kid", report.TableFile: "kid\t", report.ProgressFile: "\x89PNG", report.TreePicture: "\x89PNG",
	} {
		if text := readAll(t, func() (io.ReadCloser, error) { return c.Report(ctx, "test", file) }); !strings.Contains(text, want) {
			t.Errorf("%s: %.2000q", file, text)
		}
	}
	_, err = c.Report(ctx, "test", "engine_state.json")
	wantCode(t, err, CodeInvalid)
	snapshot := readAll(t, func() (io.ReadCloser, error) { return c.Snapshot(ctx, "test") })
	if state, err := spec.DecodeEngineState([]byte(snapshot)); err != nil || state.Status != spec.StatusStopped {
		t.Errorf("%v: %s", err, snapshot)
	}
}

// TestIDsOfAnyText submits, shows and changes tasks whose ids would mean something else in a path.
func TestIDsOfAnyText(t *testing.T) {
	t.Parallel()
	ids := []spec.TaskID{
		".", "..", "/", "//", "a/b", "../x", "*", ">", "a.b.>", "~", "~r1", "~Lg", "%2F", "%", "a b", "ü/ß", "\x00", "a\nb", "\x7f",
		"?", "#", "?x=1#y", "cancel", "日本", "\U0001F600", "\xed\xa0\x80", ";", "a;b", "+", "\\", "\u2028", `"`, "<script>",
		spec.TaskID(strings.Repeat("long/", 100)),
	}
	n := newWorld(t).coordinate()
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	var tasks []spec.TaskSpec
	for _, id := range ids {
		tasks = append(tasks, spec.TaskSpec{ID: id, Kind: spec.KindDefault, Payload: spec.Payload("{}")})
	}
	if got := must(c.Submit(ctx, "test", SubmitRequest{Tasks: tasks}))(t); got.Accepted != len(ids) {
		t.Fatalf("%+v", got)
	}
	for i, id := range ids {
		shown, err := c.Task(ctx, "test", id)
		if err != nil || shown.ID != id || shown.Spec.ID != id {
			t.Errorf("%q: %v, %q", id, err, shown.ID)
			continue
		}
		moved, err := c.Reprioritise(ctx, "test", id, PriorityRequest{Priority: new(Number(i + 1))}, shown.Version)
		if err != nil || moved.Task.ID != id || float64(moved.Task.Priority) != float64(i+1) {
			t.Errorf("%q: %v, %+v", id, err, moved)
		}
	}
	events := must(c.Events(ctx, "test", EventQuery{Types: []string{EventChange}, Limit: 1000}))(t)
	for i, id := range ids {
		if e := events.Events[i+1]; e.Change == nil || e.Change.Task != id {
			t.Errorf("%q: %+v", id, e)
		}
	}
}

// TestSegmentsReadBack checks both forms of an id in a path.
func TestSegmentsReadBack(t *testing.T) {
	t.Parallel()
	for _, id := range []spec.TaskID{"a", "a.b", ".", "..", "~", "~x", "a/b", "ü", "\xff"} {
		segment := Segment(id)
		if got, err := idOf(segment); err != nil || got != id || strings.ContainsAny(segment, "/%?# ") || segment == ".." {
			t.Errorf("%q: %q, %q, %v", id, segment, got, err)
		}
	}
	for _, segment := range []string{"~", "~!", "~a="} {
		if _, err := idOf(segment); err == nil {
			t.Errorf("%q was read", segment)
		}
	}
	n := newWorld(t).coordinate(task("a/b c"))
	n.leads(t)
	if status, text := raw(t, n, http.MethodGet, "/runs/test/tasks/a%2Fb%20c", "", nil); status != http.StatusOK {
		t.Errorf("percent-encoded: %d %s", status, text)
	}
}

// TestUnknownKindIsRefused: a slip of the pen must not use up an id.
func TestUnknownKindIsRefused(t *testing.T) {
	t.Parallel()
	strict := engine.Config{Strict: true, Kinds: map[string]spec.KindPolicy{"train": {}, "eval": {}}}
	texts := []json.RawMessage{[]byte(`{"id":"a","kind":"train"}`), []byte(`{"id":"b","kind":"trian"}`), []byte(`{"id":"c"}`)}
	items := make([]SubmitItem, len(texts))
	specs, places := readSpecs(&strict, texts, items)
	if len(specs) != 1 || specs[0].ID != "a" || places[0] != 0 {
		t.Errorf("%+v at %v", specs, places)
	}
	for _, i := range []int{1, 2} {
		if p := items[i].Error; p == nil || p.Code != CodeInvalidTask || !strings.Contains(p.Message, "eval, train") {
			t.Errorf("%d: %+v", i, items[i])
		}
	}
	strict.Kinds[spec.KindDefault] = spec.KindPolicy{}
	if specs, _ := readSpecs(&strict, texts, items); len(specs) != 3 {
		t.Errorf("with a default: %+v", specs)
	}
}
