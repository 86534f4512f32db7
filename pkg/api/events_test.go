package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// errSeen ends a Follow that has seen what it wanted.
var errSeen = errors.New("seen")

// TestEventsByPage reads the same events in pages of every size.
func TestEventsByPage(t *testing.T) {
	t.Parallel()
	n := newWorld(t).coordinate(task("a"), task("b"))
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	for i := range 5 {
		must(c.Reprioritise(ctx, "test", "b", PriorityRequest{Priority: new(Number(i + 1))}, ""))(t)
	}
	var whole []string
	for _, size := range []int{1000, 1, 3} {
		var got []string
		q := EventQuery{After: "0", Limit: size}
		for more := true; more; {
			list := must(c.Events(ctx, "test", q))(t)
			for _, e := range list.Events {
				got = append(got, e.ID)
			}
			more = list.More || len(list.Events) == size
			q.After = list.Next
		}
		if whole == nil {
			whole = got
		}
		if !slices.Equal(got, whole) || len(got) < 12 {
			t.Errorf("in pages of %d: %v, want %v", size, got, whole)
		}
	}
	newest := must(c.Events(ctx, "test", EventQuery{Limit: 2}))(t)
	if newest.Events[1].ID != whole[len(whole)-1] || newest.More {
		t.Errorf("%+v", newest)
	}
	if after := must(c.Events(ctx, "test", EventQuery{After: newest.Next}))(t); len(after.Events) != 0 || after.More {
		t.Errorf("after the newest: %+v", after)
	}
	first := must(c.Events(ctx, "test", EventQuery{After: "0", Limit: 4}))(t).Events
	if first[0].Type != EventLeader || first[0].Leader.Epoch != 1 || first[0].At == nil {
		t.Errorf("%+v", first[0])
	}
}

// TestFollowOverTheFall follows a run through a standby, over the fall of its leader, and sees every event once.
func TestFollowOverTheFall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.coordinate(task("a"))
	first.leads(t)
	second := w.coordinate()
	c, ctx := second.client(t), t.Context()
	eventually(t, "the standby knows the leader", func() bool { return second.Leader().Known })

	// The standby answers for the leader: what is read, what is changed, and why not.
	run := must(c.Run(ctx, "test"))(t)
	if run.Role != "leader" || run.Epoch != 1 {
		t.Errorf("%+v", run)
	}
	paused := must(c.Pause(ctx, "test", ControlRequest{Reason: "through the standby"}, run.Version))(t)
	if !paused.Paused {
		t.Errorf("%+v", paused)
	}
	_, err := c.Pause(ctx, "test", ControlRequest{}, run.Version)
	wantCode(t, err, CodeChanged)
	odd := spec.TaskID("a/../ü b")
	must(c.Submit(ctx, "test", SubmitRequest{Tasks: []spec.TaskSpec{{ID: odd, Kind: spec.KindDefault}}}))(t)
	if got := must(c.Task(ctx, "test", odd))(t); got.ID != odd {
		t.Errorf("%q", got.ID)
	}
	if runs := must(c.Runs(ctx))(t); runs[0].Role != "standby" || runs[0].Leader.URL != first.http.URL {
		t.Errorf("%+v", runs)
	}

	seen, ids := make(chan string, 1000), map[string]int{}
	ended := make(chan error, 1)
	go func() {
		ended <- c.Follow(ctx, "test", EventQuery{After: "0"}, func(e Event) error {
			ids[e.ID]++
			switch {
			case e.Leader != nil:
				seen <- fmt.Sprint("leader ", e.Leader.Epoch)
			case e.Change != nil:
				seen <- fmt.Sprint(e.Change.Action, " ", e.Change.Reason)
			case e.Task != nil && e.Task.ID == "last":
				return errSeen
			}
			return nil
		})
	}()
	for _, want := range []string{"leader 1", "pause through the standby", "submit "} {
		if got := <-seen; got != want {
			t.Errorf("saw %q, want %q", got, want)
		}
	}
	first.http.CloseClientConnections()
	first.http.Close()
	first.stop()
	// Who asks now waits for the next leader.
	if run := must(c.Run(ctx, "test"))(t); !run.Paused || run.Epoch != 2 {
		t.Errorf("after the fall: %+v", run)
	}
	if got := <-seen; got != "leader 2" {
		t.Errorf("saw %q", got)
	}
	events := must(c.Events(ctx, "test", EventQuery{Types: []string{EventChange}}))(t)
	if len(events.Events) != 2 || events.Events[0].Change.Reason != "through the standby" {
		t.Errorf("after the fall: %+v", events)
	}
	must(c.Submit(ctx, "test", SubmitRequest{Tasks: []spec.TaskSpec{task("last")}}))(t)
	if err := <-ended; !errors.Is(err, errSeen) {
		t.Errorf("%v", err)
	}
	for id, times := range ids {
		if times != 1 {
			t.Errorf("event %s was seen %d times", id, times)
		}
	}
}

// TestStreamResumes opens a stream by hand: with the id of an event it goes on after that event.
func TestStreamResumes(t *testing.T) {
	t.Parallel()
	n := newWorld(t).coordinate(task("a"), task("b"))
	n.leads(t)
	c := n.client(t)
	must(c.Reprioritise(t.Context(), "test", "a", PriorityRequest{Priority: new(Number(1))}, ""))(t)
	must(c.Reprioritise(t.Context(), "test", "b", PriorityRequest{Priority: new(Number(2))}, ""))(t)
	acts := must(c.Events(t.Context(), "test", EventQuery{Types: []string{EventChange}}))(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q := must(http.NewRequestWithContext(ctx, http.MethodGet, n.http.URL+Prefix+"/runs/test/events?task=b", nil))(t)
	q.Header.Set("Accept", "text/event-stream")
	q.Header.Set("Last-Event-ID", acts.Events[0].ID)
	answer, err := n.http.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	var got []string
	err = readStream(answer.Body, func(id, _ string) error {
		if got = append(got, id); len(got) == 3 {
			return errSeen
		}
		return nil
	})
	second := acts.Events[1].ID
	seq, _, _ := strings.Cut(second, ".")
	if want := []string{acts.Events[0].ID, second, seq + ".1"}; !errors.Is(err, errSeen) || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func TestStreamsAreRead(t *testing.T) {
	t.Parallel()
	var got []string
	err := readStream(strings.NewReader("retry: 1\nid: 7\n\n: beat\n\nevent: x\ndata: a\ndata:b\nid: 8\n\nid: 9\nda"), func(id, data string) error {
		got = append(got, id+"="+data)
		return nil
	})
	if want := []string{"7=", "=", "8=ab"}; !errors.Is(err, io.ErrUnexpectedEOF) || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestForwardingEnds checks that what cannot be forwarded is refused, with the reason.
func TestForwardingEnds(t *testing.T) {
	t.Parallel()
	f := newForwarder(quiet(t))
	f.hostname = "here"
	q := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))(t)
	for _, test := range []struct {
		leader coordinator.Leader
		want   Code
	}{
		{coordinator.Leader{}, CodeNoLeader},
		{coordinator.Leader{Known: true, Host: "there"}, CodeUnreachable},
		{coordinator.Leader{Known: true, Host: "there", HTTP: "http://127.0.0.1:8080"}, CodeUnreachable},
		{coordinator.Leader{Known: true, Host: "there", HTTP: "::"}, CodeUnreachable},
	} {
		wantCode(t, f.forward(nil, q, led{leader: test.leader}), test.want)
	}
	q.Header.Set(forwardedHeader, "1")
	dead := led{leader: coordinator.Leader{Known: true, Host: "here", HTTP: "http://127.0.0.1:1"}}
	wantCode(t, f.forward(nil, q, dead), CodeNoLeader)
	wantCode(t, f.forward(nil, must(http.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))(t), dead), CodeUnreachable)
	n := newWorld(t).coordinate()
	n.stop()
	n.api.leaders.patience = 0
	status, text := raw(t, n, http.MethodGet, "/runs/test", "", nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, string(CodeNoLeader)) {
		t.Errorf("nobody leads: %d %s", status, text)
	}
}

// TestTaskEventsSayWhatATreeShows: with them a tree that was read once is kept current, without reading it again.
func TestTaskEventsSayWhatATreeShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("a"), spec.TaskSpec{ID: "idea", Kind: "think"})
	n.leads(t)
	c := n.client(t)
	w.work(map[string]int{spec.ClassDefault: 1}, func(context.Context, spec.Attempt) (spec.TaskResult, error) {
		return spec.TaskResult{Metrics: map[string]float64{"loss": 0.5}}, nil
	})
	saw := make(map[spec.TaskID]TaskEvent)
	err := c.Follow(t.Context(), "test", EventQuery{After: "0", Types: []string{EventTask}}, func(e Event) error {
		if e.Task.New || e.Task.Value != nil {
			saw[e.Task.ID] = *e.Task
		}
		if e.Task.State == spec.StateCompleted.String() {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		t.Fatal(err)
	}
	if a := saw["a"]; a.Value == nil || *a.Value != 0.5 || a.Uncounted {
		t.Errorf("%+v", a)
	}
	if idea := saw["idea"]; !idea.Uncounted {
		t.Errorf("%+v", idea)
	}
}
