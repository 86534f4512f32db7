package code_test

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/internal/code"
)

// gitServer serves the repositories below a folder over HTTPS, as git itself does behind a web server. It wants a password
// below /closed/.
func gitServer(t *testing.T, folder string) *httptest.Server {
	t.Helper()
	programs, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("no program git:", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Skip("git cannot be served over HTTP here:", err)
	}
	serve := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/closed/") {
			w.Header().Set("WWW-Authenticate", `Basic realm="closed"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serve.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// trust makes git take the server's certificate for good.
func trust(t *testing.T, server *httptest.Server) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSL_CAINFO", path)
}

// TestACommitOverHTTPS fetches commits from a server as hosts of git repositories run one: the newest, and one that is no
// branch's end. A certificate that nobody vouches for is refused, and so is a server that asks for a password: at once, since
// nobody is there to be asked.
func TestACommitOverHTTPS(t *testing.T) {
	t.Setenv("LC_ALL", "C") // the language in which git complains
	dir, first := repository(t)
	server := gitServer(t, filepath.Dir(dir))
	from := server.URL + "/" + filepath.Base(dir)
	want := pack(t, code.Tree{Dir: dir})
	write(t, dir, "a.txt", "the second", 0o600)
	runGit(t, dir, "commit", "-q", "-a", "-m", "two")
	second := runGit(t, dir, "rev-parse", "HEAD")

	fetch := func(repository, revision string) ([]byte, error) {
		bundle, hash, err := code.Commit{Repository: repository, Revision: revision}.Pack(t.Context())
		if err == nil && hash != revision {
			t.Errorf("commit %s became %s", revision, hash)
		}
		return bundle, err
	}
	if _, err := fetch(from, first); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	trust(t, server)
	got, err := fetch(from, first)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the first commit: equal %v, %v", bytes.Equal(got, want), err)
	}
	got, err = fetch(from, second)
	if err != nil || !bytes.Equal(got, pack(t, code.Tree{Dir: dir})) {
		t.Errorf("the second commit: %v", err)
	}
	if _, err := fetch(from, strings.Repeat("0", 40)); err == nil {
		t.Error("a commit that is not there was packed")
	}
	if _, err := fetch(server.URL+"/closed/"+filepath.Base(dir), first); err == nil || !strings.Contains(err.Error(), "terminal prompts disabled") {
		t.Errorf("a server that asks for a password: %v", err)
	}
}
