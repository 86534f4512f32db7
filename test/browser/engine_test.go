package browser

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries is the folder of the programs.
var binaries string

// build builds the programs, once.
var build = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-o", binaries+string(filepath.Separator), "./cmd/...")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if binaries, err = os.MkdirTemp("", "autoresearch-browser"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(binaries) // what stays is in a temporary folder
	os.Exit(code)
}

// engine is a program that leads runs and serves the page.
type engine struct {
	t       *testing.T
	name    string // of the program
	address string
	args    []string
	cmd     *exec.Cmd
	log     bytes.Buffer
}

// startEngine begins a search on this machine and waits until it leads. It ends with the test.
func startEngine(t *testing.T, workflow string, flags ...string) *engine {
	t.Helper()
	e := newEngine(t, "autoresearch", "engine", "--workflow", workflow, "--workdir", t.TempDir())
	e.args = append(e.args, flags...)
	e.start()
	eventually(t, "the engine leads its run", func() bool { return strings.Contains(e.readiness(), `"role":"leader"`) })
	return e
}

// startCoordinator begins to lead whatever run is registered, without workers.
func startCoordinator(t *testing.T) *engine {
	t.Helper()
	e := newEngine(t, "coordinator", "--listen", freeAddress(t), "--workdir", t.TempDir())
	e.start()
	eventually(t, "the coordinator is ready", func() bool { return e.readiness() != "" })
	return e
}

func newEngine(t *testing.T, name string, args ...string) *engine {
	t.Helper()
	chromium(t)
	e := &engine{t: t, name: name, address: freeAddress(t)}
	e.args = append(args, "--http", e.address)
	t.Cleanup(func() {
		if e.stop(); t.Failed() {
			t.Logf("%s said:\n%s", name, e.log.String())
		}
	})
	return e
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it was only asked for its address
	return l.Addr().String()
}

func (e *engine) start() {
	e.t.Helper()
	if err := build(); err != nil {
		e.t.Fatal(err)
	}
	e.cmd = exec.Command(filepath.Join(binaries, e.name), e.args...)
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
}

// readiness is what /readyz answers; "" while it is not ready.
func (e *engine) readiness() string {
	answer, err := http.Get(e.url() + "readyz")
	if err != nil {
		return ""
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

func (e *engine) url() string { return "http://" + e.address + "/" }

// kill ends the engine without a word, as a crash does.
func (e *engine) kill() { e.end(syscall.SIGKILL) }

func (e *engine) stop() { e.end(syscall.SIGINT) }

func (e *engine) end(signal os.Signal) {
	if e.cmd == nil {
		return
	}
	_ = e.cmd.Process.Signal(signal) // it may have ended
	_ = e.cmd.Wait()                 // the exit status of an interrupted run
	e.cmd = nil
}

// call asks the API and decodes what it answers.
func (e *engine) call(method, path string, body, answer any) {
	e.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		e.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(e.t.Context(), method, e.url()+"api/v1"+path, bytes.NewReader(text))
	if err != nil {
		e.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(q)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }() // it was read
	text, err = io.ReadAll(got.Body)
	if err != nil || got.StatusCode >= 300 {
		e.t.Fatalf("%s %s: %v, %s: %s", method, path, err, got.Status, text)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(text, answer); err != nil {
		e.t.Fatal(err)
	}
}

// task is what the tests look at of a task.
type task struct {
	ID        string  `json:"id"`
	State     string  `json:"state"`
	Cancelled bool    `json:"cancelled"`
	Priority  float64 `json:"priority"`
}

// tasks lists tasks of the run.
func (e *engine) tasks(run, query string) []task {
	e.t.Helper()
	var list struct {
		Tasks []task `json:"tasks"`
	}
	e.call(http.MethodGet, "/runs/"+run+"/tasks?"+query, nil, &list)
	return list.Tasks
}

// eventually waits for something that has no signal of its own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, 30*time.Second, what, ok)
}

func within(t *testing.T, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
