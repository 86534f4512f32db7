package api

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	n := newWorld(t).coordinate(task("a"))
	n.leads(t)
	header := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	for _, test := range []struct {
		method, path, body string
		change             func(*http.Request)
		want               Code
	}{
		{"GET", "/nothing", "", nil, CodeNotFound},
		{"GET", "/runs/test/nothing", "", nil, CodeNotFound},
		{"DELETE", "/runs/test/tasks/a", "", nil, CodeMethod},
		{"PUT", "/runs", "{}", nil, CodeMethod},
		{"GET", "/runs/other", "", nil, CodeUnknownRun},
		{"GET", "/runs/test/tasks/b", "", nil, CodeUnknownTask},
		{"GET", "/runs/test?x=1", "", nil, CodeInvalid},
		{"GET", "/runs/test/tasks?limit=0", "", nil, CodeInvalid},
		{"GET", "/runs/test/tasks?limit=%zz", "", nil, CodeInvalid},
		{"GET", "/runs/test/events?after=x", "", nil, CodeInvalid},
		{"GET", "/runs/test/events?after=-1.0", "", nil, CodeInvalid},
		{"GET", "/runs/test/events?type=gap", "", nil, CodeInvalid},
		{"GET", "/runs/test/export?format=xls", "", nil, CodeInvalid},
		{"GET", "/runs/test/tree?cursor=-1", "", nil, CodeInvalid},
		{"GET", "/version", "", func(q *http.Request) { q.Host = "evil.example:8080" }, CodeHost},
		{"GET", "/version", "", func(q *http.Request) { q.Host = "127.0.0.1.evil.example" }, CodeHost},
		{"POST", "/runs/test/pause", "{}", header("Content-Type", "text/plain"), CodeMediaType},
		{"POST", "/runs/test/pause", "{}", header("Origin", "http://evil.example"), CodeHost},
		{"POST", "/runs/test/pause", "{}", header("Sec-Fetch-Site", "cross-site"), CodeHost},
		{"POST", "/runs/test/pause", `{"clas":"cpu"}`, nil, CodeInvalid},
		{"POST", "/runs/test/pause", `{} {}`, nil, CodeInvalid},
		{"POST", "/runs/test/pause", `[`, nil, CodeInvalid},
		{"POST", "/runs/test/pause", `{"reason":"` + strings.Repeat("x", reasonMax+1) + `"}`, nil, CodeInvalid},
		{"POST", "/runs/test/pause", `{"reason":"` + strings.Repeat("x", bodyMax) + `"}`, nil, CodeTooLarge},
		{"POST", "/runs/test/pause", "{}", header("If-Match", "today"), CodeInvalid},
		{"POST", "/runs/test/pause", "{}", header("If-Match", `"1"`), CodeChanged},
		{"POST", "/runs/test/pause", "{}", header(ByHeader, "a\tb"), CodeInvalid},
		{"POST", "/runs/test/pause", "{}", header(ByHeader, strings.Repeat("x", 101)), CodeInvalid},
		{"POST", "/runs/test/drain", `{"class":"cpu"}`, nil, CodeInvalid},
		{"PUT", "/runs/test/budget", `{}`, nil, CodeInvalid},
		{"PUT", "/runs/test/budget", `{"budget":-1}`, nil, CodeInvalid},
		{"PUT", "/runs/test/budget", `{"budget":1.5}`, nil, CodeInvalid},
		{"PUT", "/runs/test/tasks/a/priority", `{}`, nil, CodeInvalid},
		{"PUT", "/runs/test/tasks/a/priority", `{"priority":1,"front":true}`, nil, CodeInvalid},
		{"PUT", "/runs/test/tasks/a/priority", `{"priority":"NaN"}`, nil, CodeInvalid},
		{"PUT", "/runs/test/tasks/~/priority", `{"priority":1}`, nil, CodeInvalid},
	} {
		status, text := raw(t, n, test.method, test.path, test.body, test.change)
		if status != codes[test.want].status || !strings.Contains(text, `"code":"`+string(test.want)+`"`) {
			t.Errorf("%s %s %.60s: %d %s, want %s", test.method, test.path, test.body, status, text, test.want)
		}
	}
	if run := n.leads(t).Meta(); run.Paused || run.Drained || run.Budget != 0 {
		t.Errorf("a refusal changed the run: %+v", run)
	}
	for _, body := range []string{"", "{}", `{"reason":"r"}`} {
		if status, text := raw(t, n, "POST", "/runs/test/pause", body, header("If-Match", "*")); status != http.StatusOK {
			t.Errorf("%q: %d %s", body, status, text)
		}
	}
}

func TestAnswersAreNotForBrowsersToKeep(t *testing.T) {
	t.Parallel()
	n := newWorld(t).coordinate()
	answer := httptest.NewRecorder()
	q := must(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+Prefix+"/openapi.json", nil))(t)
	n.api.ServeHTTP(answer, q)
	for i, name := range secureHeaders {
		if got := answer.Header().Values(name); len(got) != 1 || got[0] != secureValues[i] {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := answer.Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("CORS: %q", got)
	}
}

// TestTokens checks roles, names, and that the file is read again.
func TestTokens(t *testing.T) {
	t.Parallel()
	const reader, operator, later = "reader-0123456789", "operator-0123456789", "later-0123456789ab"
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# who may do what\nread " + reader + "\n\noperator " + operator + " ben # his\n")
	n := newWorld(t).coordinate(task("a"))
	n.leads(t)
	n.api.o.Tokens = must(LoadTokens(path, quiet(t)))(t)
	ask := func(token, method, path string) int {
		status, _ := raw(t, n, method, path, "{}", func(q *http.Request) {
			q.Host = "any.example" // with tokens no name is a trap
			if token != "" {
				q.Header.Set("Authorization", "bearer "+token)
			}
		})
		return status
	}
	for _, test := range []struct {
		token, method, path string
		want                int
	}{
		{"", "GET", "/version", 401}, {"", "GET", "/nothing", 401}, {"wrong-0123456789", "GET", "/runs", 401},
		{reader, "GET", "/runs/test", 200}, {reader, "POST", "/runs/test/pause", 403}, {operator, "GET", "/runs/test", 200},
		{operator, "POST", "/runs/test/pause", 200}, {reader[:len(reader)-1], "GET", "/runs", 401},
	} {
		if got := ask(test.token, test.method, test.path); got != test.want {
			t.Errorf("%q %s %s: %d, want %d", test.token, test.method, test.path, got, test.want)
		}
	}
	c := clientOf(t, ClientOptions{Server: n.http.URL, Token: operator, By: "claimed"})
	events := must(c.Events(t.Context(), "test", EventQuery{Types: []string{EventChange}}))(t)
	if events.Events[0].Change.By != "ben" {
		t.Errorf("signed %q: a token's name is not for its bearer to choose", events.Events[0].Change.By)
	}
	write("read " + later + "\n")
	eventually(t, "the new token is known", func() bool {
		n.api.o.Tokens.mu.Lock()
		n.api.o.Tokens.looked = time.Time{} // as if a second had passed
		n.api.o.Tokens.mu.Unlock()
		return ask(later, "GET", "/runs") == 200
	})
	if got := ask(operator, "GET", "/runs"); got != 401 {
		t.Errorf("a token that was removed: %d", got)
	}
	write("nonsense")
	n.api.o.Tokens.looked = time.Time{}
	if got := ask(later, "GET", "/runs"); got != 200 {
		t.Errorf("a file that cannot be read: %d", got)
	}
}

func TestTokenFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "no token",
		"admin 0123456789abcdef":           "line 1",
		"read 0123456789abcdef\noperator":  "line 2",
		"operator short":                   "line 1",
		"read 0123456789abcdef a b":        "line 1",
		"# only\n   \n# comments, 0123456": "no token",
	} {
		_, err := parseTokens(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0123456789abcdef") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := LoadTokens(filepath.Join(t.TempDir(), "none"), quiet(t)); err == nil {
		t.Error("no file was read")
	}
}

// TestSocket asks a server that listens on a Unix socket.
func TestSocket(t *testing.T) {
	t.Parallel()
	n := newWorld(t).coordinate(task("a"))
	n.leads(t)
	dir := must(os.MkdirTemp("", "ar"))(t)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "unix", path))(t)
	server := &http.Server{Handler: n.api}
	serve(t, server, listener)
	c := clientOf(t, ClientOptions{Server: "unix:" + path})
	if runs := must(c.Runs(t.Context()))(t); len(runs) != 1 || runs[0].Role != "leader" {
		t.Errorf("%+v", runs)
	}
	if v := must(c.Version(t.Context()))(t); v.Version != "test" {
		t.Errorf("%+v", v)
	}
}

// serve serves until the test ends.
func serve(t *testing.T, server *http.Server, listener net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("close: %v", err)
		}
	})
}

func TestClientSaysWhatIsNoServer(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"", "localhost:8080", "ftp://x", "http://"} {
		if _, err := NewClient(ClientOptions{Server: server}); err == nil {
			t.Errorf("%q was taken", server)
		}
	}
	other := http.NewServeMux()
	other.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) })
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	server := &http.Server{Handler: other}
	serve(t, server, listener)
	c := must(NewClient(ClientOptions{Server: "http://" + listener.Addr().String()}))(t)
	t.Cleanup(c.Close)
	if _, err := c.Runs(t.Context()); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("%v", err)
	}
}

// FuzzRequests asks for anything in every place and takes any answer but an internal error, or one that the document does
// not describe.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "runs/test/tasks/a", "", "")
	f.Add("POST", "runs/test/tasks", `{"tasks":[{"id":"a"}]}`, "")
	f.Add("PUT", "runs/test/tasks/a/priority", `{"priority":1e999}`, "")
	f.Add("PUT", "runs/test/budget", `{"budget":3}`, "x=1")
	f.Add("GET", "runs/test/tasks", "", "sort=-best&cursor=c2VxIDAgMQ&status=live")
	f.Add("GET", "runs/test/tasks", "", "sort=queue&cursor=cXVldWUgN2ZmODAwMDAwMDAwMDAwMSAx")
	f.Add("GET", "runs/test/events", "", "after=3.0")
	f.Add("GET", "runs/test/events", "", "after=9223372036854775807.0")
	f.Add("POST", "runs/test/tasks/~Li4/cancel", `{"subtree":true}`, "")
	f.Add("POST", "runs/~dGVzdA/tasks/a/retry", `{"id":"\ud800"}`, "")
	f.Add("GET", "runs/test/tree", "", "root=a&cursor=9")
	f.Add("GET", "runs/test/tasks/\x00*>", "", "")
	f.Add("CONNECT", "//..", "", "%")
	n := newWorld(f).coordinate(task("a"))
	n.leads(f)
	f.Fuzz(func(t *testing.T, method, path, body, query string) {
		q, err := http.NewRequestWithContext(t.Context(), method, "http://localhost", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		q.URL.Path, q.URL.RawQuery = Prefix+"/"+path, query
		q.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		n.api.ServeHTTP(answer, q)
		if answer.Code == http.StatusInternalServerError {
			t.Errorf("%s %q %q %q: %s", method, path, query, body, answer.Body)
		}
		if answer.Code >= http.StatusBadRequest {
			validate(t, "refusal", document().parts.Responses["Problem"].Content["application/json"].Schema, answer.Body.Bytes())
		}
	})
}
