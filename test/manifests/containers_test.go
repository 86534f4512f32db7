package manifests

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// programs is where the programs for people lie: what make images built.
var programs = flag.String("containers", "", "play the images of make images with podman; `DIR` holds the programs they are made of")

// TestContainersSearch plays the images as the overlay dev says (users, read-only roots, configuration), has them do the demo's
// search, drains a worker by SIGTERM, kills the leader, and holds what is left against the promises.
func TestContainersSearch(t *testing.T) {
	if *programs == "" {
		t.Skip("it runs in make container-test")
	}
	_, objects := build(t, root+"/deploy/k8s/overlays/dev")
	p := newPodman(t, objects)
	p.takesItsTime()
	p.hosts = []object{
		{"ip": subnet + "10", "hostnames": []string{"nats", "nats-0.nats-headless"}},
		{"ip": subnet + "11", "hostnames": []string{"coordinator"}},
	}
	deployments := named(objects, "Deployment")
	nats := p.play(named(objects, "StatefulSet")["nats"], 0, 10)
	coordinators := []pod{p.play(deployments["coordinator"], 0, 11), p.play(deployments["coordinator"], 1, 12)}
	workers := []pod{p.play(deployments["worker-cpu"], 0, 21), p.play(deployments["worker-cpu"], 1, 22)}
	p.isAsTheManifestSays(workers[0])

	p.play(named(objects, "Job")["submit-charlm"], 0, 31)
	run := contained{t: t, p: p, coordinators: coordinators}
	run.reaches(8)

	done := run.done()
	p.says("%d experiments are done; a worker is told to drain", done)
	p.stop(workers[0], "worker", time.Minute)
	if code := p.exitCode(workers[0], "worker"); code != "0" {
		t.Errorf("a worker that was told to drain ended with %s", code)
	}
	run.reaches(done + 4)
	for _, event := range []string{"lost", "preempted", "retried"} {
		if n := run.value(`autoresearch_task_events_total{event="` + event + `",run="charlm"}`); n != 0 {
			t.Errorf("after the drain %v tasks were %s", n, event)
		}
	}
	p.play(deployments["worker-cpu"], 2, 23) // as the Deployment would

	leader, epoch, done := run.leader(), run.value(`autoresearch_epoch{run="charlm"}`), run.done()
	p.says("%d experiments are done; %s leads and is killed", done, leader.name)
	p.must("pod", "kill", "--signal", "KILL", leader.name)
	run.reaches(done + 4)
	if next := run.leader(); next == leader || run.value(`autoresearch_epoch{run="charlm"}`) <= epoch {
		t.Errorf("after the kill %s leads in term %v", next.name, run.value(`autoresearch_epoch{run="charlm"}`))
	}
	run.reaches(48)
	p.says("the search is done; NATS reads its configuration again, as it does for a renewed certificate")
	p.must("exec", nats.name+"-nats", "/nats-server", "--signal", "reload=/run/nats/nats.pid")
	out, err := exec.Command(*programs+"/autoresearch", "verify", "--nats", "nats://"+nats.address+":4222", "--run", "charlm").CombinedOutput()
	if err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

// takesItsTime stretches the timeouts of the search, so that whatever is tried again is for what the test does, not for a machine that
// has much else to do.
func (p *podman) takesItsTime() {
	p.t.Helper()
	stretch := strings.NewReplacer(" timeout: 2m\n", " timeout: 20m\n", " stall_timeout: 30s\n", " stall_timeout: 10m\n")
	for name, config := range p.configs {
		if text, ok := at(config, "data", "workflow.yaml").(string); ok {
			stretched := stretch.Replace(text)
			if stretched == text {
				p.t.Fatalf("%s has no timeouts to stretch:\n%s", name, text)
			}
			config["data"].(object)["workflow.yaml"] = stretched
		}
	}
}

// isAsTheManifestSays looks at a worker's main process from outside.
func (p *podman) isAsTheManifestSays(which pod) {
	p.t.Helper()
	for format, want := range map[string]string{
		"{{.HostConfig.ReadonlyRootfs}}": "true", "{{.EffectiveCaps}}": "[]", "{{.Config.User}}": fmt.Sprint(podUser, ":", podUser),
	} {
		if got := strings.TrimSpace(p.must("inspect", "--format", format, which.name+"-worker")); got != want {
			p.t.Errorf("%s of %s is %q, want %q", format, which.name, got, want)
		}
	}
	pid := strings.TrimSpace(p.must("inspect", "--format", "{{.State.Pid}}", which.name+"-worker"))
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil || !regexp.MustCompile(`(?m)^Uid:\t65532\t65532`).Match(status) || !regexp.MustCompile(`(?m)^NoNewPrivs:\t1`).Match(status) {
		p.t.Errorf("%s runs as (%v)\n%s", which.name, err, status)
	}
}

// contained is the search as its coordinators tell of it.
type contained struct {
	t            *testing.T
	p            *podman
	coordinators []pod
}

// read returns the metrics of the coordinator that leads, and which it is. It waits until one does.
func (s contained) read() (leader pod, metrics string) {
	s.t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
		for _, c := range s.coordinators {
			text, err := fetch("http://" + c.address + ":8080/metrics")
			if err == nil && strings.Contains(string(text), "\n"+`autoresearch_leader{run="charlm"} 1`+"\n") {
				return c, string(text)
			}
		}
	}
	s.t.Fatal("nobody leads")
	return pod{}, ""
}

func (s contained) leader() pod {
	s.t.Helper()
	c, _ := s.read()
	return c
}

// value is that of a metric of the leader.
func (s contained) value(metric string) float64 {
	s.t.Helper()
	_, text := s.read()
	return valueIn(text, metric)
}

func valueIn(text, metric string) float64 {
	for line := range strings.SplitSeq(text, "\n") {
		if number, ok := strings.CutPrefix(line, metric+" "); ok {
			v, err := strconv.ParseFloat(number, 64)
			if err == nil {
				return v
			}
		}
	}
	return 0
}

// done is how many experiments have come to their end.
func (s contained) done() int {
	s.t.Helper()
	return int(s.value(`autoresearch_tasks{run="charlm",state="completed"}`))
}

// reaches waits until n experiments are done. A run is stuck when none ends for three minutes: how fast they are is the machine's.
func (s contained) reaches(n int) {
	s.t.Helper()
	before, since := -1, time.Now()
	for done := s.done(); done < n; done = s.done() {
		if done > before {
			before, since = done, time.Now()
			s.p.says("%d experiments are done", done)
		}
		failed := s.value(`autoresearch_tasks{run="charlm",state="failed"}`)
		if failed > 0 || time.Since(since) > 3*time.Minute {
			s.t.Fatalf("%d experiments are done, not %d; %v failed", done, n, failed)
		}
		time.Sleep(300 * time.Millisecond)
	}
}
