//go:build linux

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestSharedSlots has two runs, led by whichever coordinator, share the slots of a worker by weight; what one does not want
// goes to the other.
func TestSharedSlots(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	wanting := c.listen(t)
	heavy, light := newLab(t), newLab(t)
	for name, l := range map[string]*lab{"heavy": heavy, "light": light} {
		weight := map[string]string{"heavy": "3", "light": "1"}[name]
		ask(t, "run", "create", name, "-f", l.workflow(8, tasks(8, "t%d", payload{"gate": "go"}), ""), "--weight", weight,
			"--server", c.servers[len(name)%2])
	}
	for heard := map[spec.RunName]bool{}; len(heard) < 2; {
		heard[<-wanting] = true
	}
	for _, run := range []string{"heavy", "light"} {
		awaitShared(t, c.servers[0], run)
	}
	w := start(t, "worker", "--nats", c.nats.url(), "--dir", t.TempDir(), "--slots", "8")
	w.says("worker starts")
	heavy.awaitRunning(6)
	light.awaitRunning(2)
	if n := len(heavy.running()); n != 6 {
		t.Errorf("%d of the heavy run's tasks run, want 6", n)
	}
	heavy.open("go")
	heavy.awaitEnded(8)
	light.awaitRunning(8)
	light.open("go")
	light.awaitEnded(8)
	for _, l := range []*lab{heavy, light} {
		if list, _ := l.executions(); len(list) != 8 {
			t.Errorf("%d executions of 8 tasks", len(list))
		}
	}
	if said := ask(t, "run", "ls", "--server", c.servers[0]); !strings.Contains(said, "heavy") || !strings.Contains(said, "light") {
		t.Errorf("the runs: %s", said)
	}
}

// listen returns the runs that say they want all they have.
func (c *cluster) listen(t *testing.T) <-chan spec.RunName {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: c.nats.url()})
	if err != nil {
		t.Fatal(err)
	}
	wanting := make(chan spec.RunName, 1000)
	stop, err := bus.NewUplinks(conn).ListenDemands(func(d bus.Demand) {
		for _, class := range d.Classes {
			if class.Wants == 8 {
				wanting <- d.Run
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return wanting
}

// awaitShared waits until the run's leader has heard that another run wants slots too.
func awaitShared(t *testing.T, server, run string) {
	t.Helper()
	eventually(t, run+" shares its slots", func() string {
		text := ask(t, "status", "--server", server, "--run", run, "-o", "json")
		var status struct{ Classes []struct{ Share *int } }
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, class := range status.Classes {
			if class.Share != nil {
				return ""
			}
		}
		return text
	})
}
