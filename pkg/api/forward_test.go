package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// led is a run with a leader, and after it next if that is one.
type led struct {
	leader coordinator.Leader
	next   chan coordinator.Leader
}

func (led) Name() spec.RunName { return "test" }

func (l led) Leader() coordinator.Leader {
	select {
	case now := <-l.next:
		return now
	default:
		return l.leader
	}
}

// TestForwardingOutlivesAHungLeader gives up what a leader does not answer once another leads: what only reads is asked again, and of
// a change is said that it may have been done.
func TestForwardingOutlivesAHungLeader(t *testing.T) {
	t.Parallel()
	asked, end := make(chan struct{}), make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-end }))
	t.Cleanup(func() { close(end); hung.Close() })
	f := newForwarder(quiet(t))
	f.hostname = "here"
	for method, want := range map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusServiceUnavailable} {
		run := led{leader: coordinator.Leader{Known: true, Host: "here", HTTP: hung.URL}, next: make(chan coordinator.Leader)}
		go func() { <-asked; run.next <- coordinator.Leader{Here: true} }()
		answer := httptest.NewRecorder()
		err := f.forward(answer, httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody), run)
		if method == http.MethodGet {
			wantCode(t, err, CodeUnreachable)
		}
		if passes(err) != (method == http.MethodGet) || answer.Code != want {
			t.Errorf("%s: %v, answered %d %s", method, err, answer.Code, answer.Body)
		}
		if text := answer.Body.String(); method == http.MethodPost && !strings.Contains(text, "may have been done") {
			t.Errorf("a change: %s", text)
		}
	}
}

// TestForwardingKeepsTheToken asks a standby with tokens: who may only read is refused what changes, wherever the run is led; who
// changes signs by the token's name at the leader; and the list has what the leader says.
func TestForwardingKeepsTheToken(t *testing.T) {
	t.Parallel()
	const reader, operator = "reader-0123456789", "operator-0123456789"
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("read "+reader+"\noperator "+operator+" ben\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	first := w.coordinate(task("a"))
	first.leads(t)
	second := w.coordinate()
	for _, n := range []*node{first, second} {
		n.api.o.Tokens = must(LoadTokens(path, quiet(t)))(t)
	}
	eventually(t, "the standby knows the leader", func() bool { return second.Leader().Known })
	ctx := t.Context()
	reading := clientOf(t, ClientOptions{Server: second.http.URL, Token: reader})
	changing := clientOf(t, ClientOptions{Server: second.http.URL, Token: operator, By: "claimed"})

	if run := must(reading.Run(ctx, "test"))(t); run.Role != "leader" || run.Tasks != 1 {
		t.Errorf("%+v", run)
	}
	if runs := must(reading.Runs(ctx))(t); len(runs) != 1 || runs[0].Role != "standby" || runs[0].Counts == nil {
		t.Errorf("%+v", runs)
	}
	_, err := reading.Pause(ctx, "test", ControlRequest{}, "")
	wantCode(t, err, CodeForbidden)
	must(changing.Pause(ctx, "test", ControlRequest{}, ""))(t)
	events := must(reading.Events(ctx, "test", EventQuery{Types: []string{EventChange}}))(t)
	if len(events.Events) != 1 || events.Events[0].Change.By != "ben" {
		t.Errorf("%+v", events)
	}
	if status, text := raw(t, second, http.MethodGet, "/runs/test", "", nil); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d %s", status, text)
	}
}
