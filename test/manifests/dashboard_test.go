package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dashboard is what counts here of Grafana's file.
type dashboard struct {
	Panels []struct {
		Title   string `json:"title"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

// TestDashboardShowsARun scrapes a search with a real Prometheus until each expression of the dashboard and of the alerts can
// be evaluated, and each of the dashboard has data.
func TestDashboardShowsARun(t *testing.T) {
	t.Parallel()
	prometheus, promtool := installed(t, "prometheus"), installed(t, "promtool")
	s := startSearch(t)
	p := startPrometheus(t, prometheus, s)

	text, err := os.ReadFile(root + "/deploy/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	empty := make(map[string]string)
	for _, panel := range d.Panels {
		for _, target := range panel.Targets {
			empty[target.Expr] = panel.Title
		}
	}
	if len(empty) < 20 {
		t.Fatalf("the dashboard has %d expressions", len(empty))
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end) && len(empty) > 0; time.Sleep(time.Second) {
		for expr := range empty {
			if p.query(t, shown.Replace(expr)) > 0 {
				delete(empty, expr)
			}
		}
	}
	for expr, title := range empty {
		t.Errorf("panel %q has no data: %s", title, expr)
	}
	_, alerts := rules(t)
	for _, a := range alerts {
		p.query(t, a.Expr)
	}
	for _, address := range s.endpoints() {
		checkMetrics(t, promtool, address)
	}
}

// shown puts values for Grafana's variables, as it does when everything is chosen.
var shown = strings.NewReplacer("$namespace", ".*", "$run", ".*", "$__interval", "1m", "$datasource", "")

// checkMetrics has promtool look at what an endpoint serves.
func checkMetrics(t *testing.T, promtool, address string) {
	t.Helper()
	served, err := fetch("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(served)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics on %s: %v\n%s", address, err, out)
	}
}

// fetch returns what an address answers within seconds; another status than 200 is an error.
func fetch(address string) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", address, answer.Status, text)
	}
	return text, errors.Join(err, answer.Body.Close())
}

// search is where a coordinator and three workers answer that search as the demo does; the third has GPUs, as a player of
// nvidia-smi tells it, and nothing to do.
type search struct{ coordinator, one, two, gpus string }

func (s search) endpoints() []string { return []string{s.coordinator, s.one, s.two, s.gpus} }

func startSearch(t *testing.T) search {
	t.Helper()
	bin, dir := t.TempDir(), t.TempDir()
	quietly(t, "go", "build", "-trimpath", "-o", bin+"/", "autoresearch/cmd/coordinator", "autoresearch/cmd/worker",
		"github.com/nats-io/nats-server/v2")
	quietly(t, "go", "build", "-trimpath", "-o", filepath.Join(dir, "charlm"), "autoresearch/examples/charlm")
	workflow, err := os.ReadFile(root + "/examples/charlm/workflow.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// More experiments than it will come to: it is watched while it runs.
	workflow = bytes.Replace(workflow, []byte("max_experiments: 48"), []byte("max_experiments: 1000"), 1)
	if err := os.WriteFile(filepath.Join(dir, "workflow.yaml"), workflow, 0o600); err != nil {
		t.Fatal(err)
	}
	nats := free(t)
	s := search{coordinator: free(t), one: free(t), two: free(t), gpus: free(t)}
	host, port, _ := net.SplitHostPort(nats)
	run(t, filepath.Join(bin, "nats-server"), "-a", host, "-p", port, "-js", "-sd", t.TempDir())
	run(t, filepath.Join(bin, "coordinator"), "--workflow", filepath.Join(dir, "workflow.yaml"), "--workdir", t.TempDir(),
		"--nats", "nats://"+nats, "--http", s.coordinator)
	for _, address := range []string{s.one, s.two} {
		run(t, filepath.Join(bin, "worker"), "--dir", t.TempDir(), "--nats", "nats://"+nats, "--http", address)
	}
	runWith(t, []string{"PATH=" + playNVIDIA(t) + ":" + os.Getenv("PATH")}, filepath.Join(bin, "worker"), "--dir", t.TempDir(),
		"--nats", "nats://"+nats, "--http", s.gpus, "--slots", "auto", "--class", "gpu")
	return s
}

// playNVIDIA returns a folder with an nvidia-smi that shows one GPU, which nobody uses.
func playNVIDIA(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	played, err := filepath.Abs(root + "/internal/gpu/testdata/nvidia-smi")
	script := `case "$1" in --query-gpu=*) echo 'GPU-one, NVIDIA H100, 00000000:3B:00.0, 580.65, 4, 0, Disabled';; esac` + "\n"
	if err = errors.Join(err, os.Symlink(played, filepath.Join(dir, "nvidia-smi")), os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// free returns an address of the loopback where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

// run starts a program and ends it with the test.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	runWith(t, nil, name, args...)
}

// runWith is run with more in the program's environment.
func runWith(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the log tells
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), out.Bytes()[max(0, out.Len()-4000):])
		}
	})
}

// server is a Prometheus that scrapes a search each second.
type server struct{ address string }

func startPrometheus(t *testing.T, program string, s search) server {
	t.Helper()
	dir, p := t.TempDir(), server{address: free(t)}
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
scrape_configs:
  - {job_name: coordinator, static_configs: [{targets: [%q], labels: {namespace: autoresearch}}]}
  - {job_name: worker, static_configs: [{targets: [%q, %q, %q], labels: {namespace: autoresearch}}]}
`, s.coordinator, s.one, s.two, s.gpus)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, program, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", p.address, "--log.level", "warn")
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		_, err := fetch("http://" + p.address + "/-/ready")
		if err == nil {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("Prometheus is not ready: %v", err)
		}
	}
}

// query evaluates an expression and returns how many series have a value.
func (p server) query(t *testing.T, expr string) int {
	t.Helper()
	text, err := fetch("http://" + p.address + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		t.Fatalf("%s\n%v", expr, err)
	}
	var result struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(text, &result); err != nil || result.Status != "success" {
		t.Fatalf("%s\n%v %s", expr, err, text)
	}
	values := 0
	for _, series := range result.Data.Result {
		if series.Value[1] != "NaN" {
			values++
		}
	}
	return values
}
