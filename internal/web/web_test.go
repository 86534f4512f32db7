package web

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"autoresearch/pkg/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlagsAskForTokensBeyondLoopback(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags Flags
		ok    bool
	}{
		{Flags{}, true}, {Flags{Address: "127.0.0.1:0"}, true}, {Flags{Address: "[::1]:80"}, true}, {Flags{Address: "localhost:0"}, true},
		{Flags{Address: ":8080"}, false}, {Flags{Address: "0.0.0.0:8080"}, false}, {Flags{Address: "8080"}, false},
		{Flags{Address: ":8080", Tokens: "file"}, true}, {Flags{Address: ":8080", Open: true}, true},
	} {
		if err := test.flags.Check(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.flags, err)
		}
	}
}

// TestSite serves on a socket and on TCP, and leaves nothing behind. A workdir with a long path has its socket elsewhere.
func TestSite(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	for _, workdir := range []string{t.TempDir(), long} {
		s, err := Open(t.Context(), Flags{Address: "127.0.0.1:0"}, workdir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		place, err := ReadPlace(workdir)
		if err != nil || place.HTTP != s.URL() || place.PID != os.Getpid() {
			t.Errorf("%+v, %v", place, err)
		}
		for _, server := range []string{place.Server(), place.HTTP} {
			c, err := api.NewClient(api.ClientOptions{Server: server})
			if err != nil {
				t.Fatal(err)
			}
			if runs, err := c.Runs(t.Context()); err != nil || len(runs) != 0 {
				t.Errorf("%s: %v, %v", server, runs, err)
			}
			c.Close()
		}
		dir := filepath.Dir(place.Socket)
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the socket's folder: %v, %v", info, err)
		}
		wantStatus(t, s.URL()+"/healthz", http.StatusOK)
		wantStatus(t, s.URL()+"/readyz", http.StatusServiceUnavailable)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the socket's folder is still there: %v", err)
		}
		if _, err := ReadPlace(workdir); err == nil || !strings.Contains(err.Error(), "no engine") {
			t.Errorf("after the end: %v", err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func wantStatus(t *testing.T, url string, want int) {
	t.Helper()
	q, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != want {
		t.Errorf("%s: %s", url, answer.Status)
	}
}

func TestOpenSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	first, err := Open(t.Context(), Flags{Address: "127.0.0.1:0"}, t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, err = Open(t.Context(), Flags{Address: strings.TrimPrefix(first.URL(), "http://")}, t.TempDir(), log)
	if err == nil || !strings.Contains(err.Error(), "--http") {
		t.Errorf("a port in use: %v", err)
	}
	_, err = Open(t.Context(), Flags{Address: "127.0.0.1:0", Tokens: filepath.Join(t.TempDir(), "none")}, t.TempDir(), log)
	if err == nil || !strings.Contains(err.Error(), "--http-tokens") {
		t.Errorf("no token file: %v", err)
	}
}
