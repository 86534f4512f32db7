package api

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

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
