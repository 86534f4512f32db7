//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCode edits the code of a search while it runs: each task runs what was there when it was submitted, on a worker that has
// nothing of it on its disk, and what a task ran is told for ever.
func TestCode(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, nil)
	program := func(version int) {
		f.lab.write("src/train.sh", fmt.Sprintf("printf '[autoresearch] step=1 loss=%d\\n'\n"+
			": > %s/started\nwhile [ ! -e %[2]s/gate-go ]; do sleep 0.02; done\n", version, f.lab.dir))
	}
	f.workflow = f.lab.write("code.yaml", `
objective: {metric: loss, direction: minimize}
kinds:
  default: {command: [sh, ./train.sh], code: {dir: src}}
initial: [{id: first}, {id: second}]
`)
	program(1)
	worker := f.worker(f.newWorkerDir(), 1)
	c := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", newWorkdir(t).dir)
	eventually(t, "one runs", func() string {
		if _, err := os.Stat(filepath.Join(f.lab.dir, "started")); err != nil {
			return err.Error()
		}
		return ""
	})
	program(2)
	ask(t, "submit", "--server", c.url, "--id", "edited", "--payload", "{}")
	f.lab.write("src/train.sh", "exit 7\n") // after all were submitted
	f.lab.open("go")
	code := map[string]string{}
	for task, loss := range map[string]string{"first": "loss=1", "second": "loss=1", "edited": "loss=2"} {
		eventually(t, task+" has run its own code", func() string {
			said := ask(t, "show", task, "--server", c.url)
			for line := range strings.Lines(said) {
				if hash, found := strings.CutPrefix(line, "code "); found {
					code[task] = strings.TrimSpace(hash)
				}
			}
			if log := ask(t, "logs", task, "--server", c.url); !strings.Contains(said, "completed") || !strings.Contains(log, loss) {
				return said + log
			}
			return ""
		})
	}
	if code["first"] == "" || code["first"] != code["second"] || code["first"] == code["edited"] {
		t.Errorf("the code of the tasks: %v", code)
	}
	worker.awaitMetric("autoresearch_worker_code_misses_total", 2)
	worker.awaitMetric("autoresearch_worker_code_hits_total", 1)
}
