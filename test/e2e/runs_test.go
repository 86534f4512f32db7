//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/bus/bustest"
)

// registered is a run as "run ls -o json" says it.
type registered struct {
	Name     string
	Status   string
	Archived bool
	Role     string
	Trouble  string
	Counts   counts
	Leader   struct{ PID int }
}

func askRuns(t *testing.T, server string) map[string]registered {
	t.Helper()
	var list []registered
	text := ask(t, "run", "ls", "--archived", "--server", server, "-o", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	runs := map[string]registered{}
	for _, r := range list {
		runs[r.Name] = r
	}
	return runs
}

// awaitLeads waits until the server leads the run, with as many experiments running.
func awaitLeads(t *testing.T, server, run string, running int) {
	t.Helper()
	eventually(t, server+" leads "+run, func() string {
		if r := askRuns(t, server)[run]; r.Role != "leader" || r.Counts.Running != running {
			return fmt.Sprintf("%+v", r)
		}
		return ""
	})
}

// cluster is a NATS server with two coordinators that serve every registered run.
type cluster struct {
	nats         *natsServer
	coordinators [2]*process
	servers      [2]string // where each answers
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{nats: startNATS(t)}
	for i := range c.coordinators {
		address := fmt.Sprintf("127.0.0.1:%d", bustest.FreePort(t))
		c.servers[i] = "http://" + address
		c.coordinators[i] = start(t, "coordinator", "--nats", c.nats.url(), "--http", address, "--workdir", t.TempDir())
		c.coordinators[i].says("serving every run")
	}
	return c
}

// TestManyRuns has two coordinators share the runs that are registered: either is asked for any of them, one dies and the
// other goes on with all, and an archived run's files are had and then it is gone.
func TestManyRuns(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	start(t, "worker", "--nats", c.nats.url(), "--dir", t.TempDir(), "--slots", "4")
	labs := map[string]*lab{"first": newLab(t), "second run": newLab(t)}
	for name, l := range labs {
		file := l.workflow(2, tasks(4, name+"-%d", payload{"gate": "open"}), "")
		said := ask(t, "run", "create", name, "-f", file, "--server", c.servers[0])
		if !strings.Contains(said, "created") || !strings.Contains(said, "led on") || !strings.Contains(said, l.dir) {
			t.Errorf("create: %s", said)
		}
		if said := ask(t, "run", "create", name, "-f", file, "--server", c.servers[1]); !strings.Contains(said, "was there already") {
			t.Errorf("create again: %s", said)
		}
	}
	for _, l := range labs {
		l.awaitRunning(2)
	}
	for _, server := range c.servers {
		for name := range labs {
			if r := askRuns(t, server)[name]; r.Counts.Running != 2 || r.Status != "running" {
				t.Errorf("%s asked for %q: %+v", server, name, r)
			}
			ask(t, "submit", "--server", server, "--run", name, "--id", "from "+server, "--payload", `{"gate": "open"}`)
		}
	}
	c.coordinators[0].kill()
	eventually(t, "the other leads both", func() string {
		p := start(t, "autoresearch", "status", "--server", c.servers[1], "-o", "json", "--run", "first")
		q := start(t, "autoresearch", "status", "--server", c.servers[1], "-o", "json", "--run", "second run")
		if p.wait() != 0 || q.wait() != 0 {
			return p.String() + q.String()
		}
		return ""
	})
	for _, l := range labs {
		l.open("open")
		l.awaitEnded(6)
	}
	for name, l := range labs {
		eventually(t, name+" has stopped", func() string {
			if r := askRuns(t, c.servers[1])[name]; r.Status != "stopped" || r.Counts.Completed != 6 {
				return fmt.Sprintf("%+v", r)
			}
			return ""
		})
		if list, _ := l.executions(); len(list) != 6 {
			t.Errorf("%s: %d executions of 6 tasks", name, len(list))
		}
	}
	c.pullAndDelete(t, "second run")
	if r, known := askRuns(t, c.servers[1])["first"]; !known || r.Counts.Completed != 6 {
		t.Errorf("the other run: %+v", r)
	}
	c.coordinators[1].signal(15)
	c.coordinators[1].wantExit(0)
}

func (c *cluster) pullAndDelete(t *testing.T, run string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pulled")
	eventually(t, "the last files are there", func() string {
		p := start(t, "autoresearch", "run", "pull", run, dir, "--server", c.servers[1])
		if p.wait() != 0 {
			return p.String()
		}
		text, err := os.ReadFile(filepath.Join(dir, "engine_state.json"))
		if err != nil || !strings.Contains(string(text), "stopped") {
			return fmt.Sprintf("%s, %v", text, err)
		}
		return ""
	})
	if said := ask(t, "summary", dir); !strings.Contains(said, "6") {
		t.Errorf("the summary of what was pulled: %s", said)
	}
	p := start(t, "autoresearch", "run", "delete", run, "--yes", "--server", c.servers[1])
	p.wantExit(4)
	p.wantSaid("is not archived", "drain")
	ask(t, "run", "archive", run, "--server", c.servers[1], "-m", "done")
	if r := askRuns(t, c.servers[1])[run]; !r.Archived || r.Role != "archived" {
		t.Errorf("archived: %+v", r)
	}
	if said := ask(t, "status", "--server", c.servers[1], "--run", run); !strings.Contains(said, "archived") {
		t.Errorf("the status of an archived run: %s", said)
	}
	eventually(t, "it is deleted", func() string {
		p := start(t, "autoresearch", "run", "delete", run, "--yes", "--server", c.servers[1])
		if p.wait() != 0 {
			return p.String()
		}
		return ""
	})
	if _, known := askRuns(t, c.servers[1])[run]; known {
		t.Error("a deleted run is listed")
	}
}
