package worker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
)

// workerProcess runs a whole worker on a server's URL and a directory; it says when it has begun.
func workerProcess(argument string) (int, bool) {
	url, dir, _ := strings.Cut(argument, " ")
	fmt.Println("begins")
	err := Run(context.Background(), Options{
		Bus: bus.Options{URL: url, Logger: quiet()}, Dir: dir, Slots: map[string]int{testClass: 2}, Logger: quiet(),
		Heartbeat: 20 * time.Millisecond,
	})
	fmt.Println(err)
	return 1, true
}

// startProcess starts a worker as a process of its own and returns how to kill it.
func startProcess(t *testing.T, url, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "worker "+url+" "+dir)
	cmd.Env = append(os.Environ(), experimentVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was killed
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "begins\n" {
		t.Fatalf("the worker says %q, %v", line, err)
	}
	return kill
}

// TestKilledWorker kills a worker with one result on disk that it cannot publish and one attempt in mid run. Its successor
// sends the result, under the same name and a higher boot, and no process is left of the attempt.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	server := startServer(t, -1, t.TempDir())
	dir := t.TempDir()
	l := startLeader(t, server.ClientURL(), testRun)
	stranded := startLeader(t, server.ClientURL(), "stranded")
	stream := bus.ResultsStream("stranded")
	js, err := stranded.conn.NATS().JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(stream); err != nil {
		t.Fatal(err)
	}
	kill := startProcess(t, server.ClientURL(), dir)
	stranded.publish(dispatch("result", script("say [autoresearch] m=1")))
	l.publish(dispatch("mid", script("say [autoresearch] up", "pid", "ignore", "forever")))
	worker, boot := l.worker(func(u bus.Uplink) bool { return len(u.Running) == 1 && len(u.Finished) == 1 })
	log := filepath.Join(attemptDirDefault(dir)(testRun, "mid", 1), stdoutFileName)
	l.until("it says its number", func() bool { return strings.Count(readText(t, log), "\n") == 1 })
	pid := number(strings.Split(readText(t, log), "\n")[1])
	kill()
	awaitGone(t, pid)

	startProcess(t, server.ClientURL(), dir)
	again, next := l.worker(func(u bus.Uplink) bool { return u.Boot > boot && len(u.Running) == 0 && len(u.Finished) == 1 })
	if again != worker || next != boot+1 {
		t.Errorf("worker %s, boot %d became %s, boot %d", worker, boot, again, next)
	}
	stranded.provision()
	stopReading, err := stranded.results.Consume(context.Background(), 0, stranded.read, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer stopReading()
	stranded.until("the result is there", func() bool {
		return len(stranded.reports) > 0 && stranded.reports[0].Task == "result" && stranded.reports[0].Failure == nil
	})
}

// worker waits for a heartbeat that fits and returns who sent it.
func (l *leader) worker(fits func(bus.Uplink) bool) (worker string, boot uint64) {
	l.t.Helper()
	l.until("a heartbeat fits", func() bool {
		last := len(l.heard) - 1
		if last < 0 || !l.heard[last].Full || !fits(l.heard[last]) {
			return false
		}
		worker, boot = string(l.heard[last].Worker), l.heard[last].Boot
		return true
	})
	return worker, boot
}
