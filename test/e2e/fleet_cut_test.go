//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// cable is a connection to NATS that can be cut: a proxy that forwards, or drops everybody and lets nobody in.
type cable struct {
	t        *testing.T
	listener net.Listener
	target   string

	mu    sync.Mutex
	isCut bool
	ends  []net.Conn
	trap  string // the cable is cut when this passes by; "" for none
	trips int    // how often it has
}

// newCable lays a cable to a server.
func newCable(t *testing.T, s *natsServer) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{t: t, listener: listener, target: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))}
	var serving sync.WaitGroup
	serving.Go(c.serve)
	t.Cleanup(func() {
		c.cut()
		_ = listener.Close() // which ends serve
		serving.Wait()
	})
	return c
}

func (c *cable) url() string { return "nats://" + c.listener.Addr().String() }

// serve forwards connections until the listener is closed, and waits for their ends.
func (c *cable) serve() {
	var forwarding sync.WaitGroup
	defer forwarding.Wait()
	for {
		near, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			c.t.Errorf("cable: %v", err)
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil || !c.plug(near, far) {
			_ = near.Close() // as a cut cable does
			continue
		}
		forwarding.Go(func() { forward(watched{near, c}, far) })
		forwarding.Go(func() { forward(far, near) })
	}
}

// watched is the near end of a connection, which cuts the cable when the trap passes by.
type watched struct {
	net.Conn
	cable *cable
}

// Read implements io.Reader.
func (w watched) Read(text []byte) (int, error) {
	n, err := w.Conn.Read(text)
	if err == nil && w.cable.springs(text[:n]) {
		w.cable.cut()
		return 0, net.ErrClosed
	}
	return n, err
}

// springs reports whether the trap is in the text, and takes it away if it is.
func (c *cable) springs(text []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trap == "" || !bytes.Contains(text, []byte(c.trap)) {
		return false
	}
	c.trap = ""
	c.trips++
	return true
}

// cutAt cuts the cable as soon as a client sends the text, before it passes.
func (c *cable) cutAt(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trap = text
}

// awaitCut waits until the trap of cutAt has sprung.
func (c *cable) awaitCut() {
	c.t.Helper()
	eventually(c.t, "the cable is cut", func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		return map[bool]string{true: "the text of the trap was not sent"}[c.trips == 0]
	})
}

// forward copies until either side ends, and then ends both.
func forward(from, to net.Conn) {
	_, _ = io.Copy(to, from) // whatever ends it, it has ended
	_ = from.Close()
	_ = to.Close()
}

// plug keeps the two ends of a connection; false when the cable is cut.
func (c *cable) plug(near, far net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isCut {
		_ = far.Close()
		return false
	}
	c.ends = append(c.ends, near, far)
	return true
}

// cut drops every connection and lets no new one in.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for _, end := range c.ends {
		_ = end.Close() // it may be closed already
	}
	c.ends = nil
}

// mend lets connections in again.
func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = false
}

// TestWorkerCutOff cuts a worker off while its experiment ends: it keeps the result, and brings it once it is back. That
// is no reason to run anything again.
func TestWorkerCutOff(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(1)
	f := newFleet(t, 1, all)
	w := newWorkdir(t)
	cable := newCable(t, f.nats)
	worker := f.daemon("worker", "--dir", f.newWorkerDir(), "--nats", cable.url())
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(1)
	cable.cut()
	worker.awaitCode("/readyz", http.StatusServiceUnavailable)
	f.lab.open("go")
	f.lab.awaitEnded(1)
	coordinator.awaitMetric(`autoresearch_tasks{state="running"}`, 1)
	cable.mend()
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestLeaderCutOff cuts the leader off: the standby leads, and the old one stands by when it is back.
func TestLeaderCutOff(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(2)
	f := newFleet(t, 2, all)
	workdirs := []workdir{newWorkdir(t), newWorkdir(t)}
	f.worker(f.newWorkerDir(), 2)
	cable := newCable(t, f.nats)
	old := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", workdirs[0].dir, "--nats", cable.url())
	old.awaitRole("leader")
	running := f.lab.awaitRunning(2)
	next := f.coordinator(workdirs[1])
	next.awaitRole("standby")
	cable.cut()
	old.awaitCode("/readyz", http.StatusServiceUnavailable)
	next.awaitRole("leader")
	cable.mend()
	old.awaitRole("standby")
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("go")
	next.wantExit(0)
	workdirs[1].wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestCutOffWhileRecovering cuts a coordinator off at each step of its way to lead a run: it goes on trying.
func TestCutOffWhileRecovering(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(1)
	f := newFleet(t, 1, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 1)
	first := f.coordinator(w)
	running := f.lab.awaitRunning(1)
	first.kill()
	for _, text := range []string{
		"$JS.API.STREAM.INFO.KV_AR_LEASE", "$KV.AR_LEASE.", "$JS.API.STREAM.INFO.AR_JOURNAL_e2e", "$JS.API.STREAM.MSG.GET.AR_JOURNAL_e2e",
		"ar.journal.e2e", "$JS.API.STREAM.INFO.KV_AR_STATE_e2e", "$KV.AR_STATE_e2e.", "$JS.API.STREAM.INFO.AR_RESULTS_e2e",
		"$JS.API.STREAM.INFO.AR_TASKS", "ar.up.",
	} {
		t.Run(text, func(t *testing.T) {
			f := f.in(t)
			cable := newCable(t, f.nats)
			cable.cutAt(text)
			coordinator := f.daemon("coordinator", "--workdir", w.dir, "--nats", cable.url())
			cable.awaitCut()
			cable.mend()
			coordinator.awaitRole("leader")
			wantSameProcesses(t, running, f.lab.awaitRunning(1))
		}) // which kills the coordinator
	}
	f.lab.open("go")
	f.coordinator(w).wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestNATSAway takes the server away for longer than any lease lasts: time stands still meanwhile, so nobody loses
// anything. The length of the outage is the fault here.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(2)
	f := newFleet(t, 2, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(2)
	f.nats.kill()
	time.Sleep(leaseTTL + 2*time.Second)
	f.nats.restart()
	coordinator.awaitRole("leader")
	coordinator.awaitMetric(`autoresearch_tasks{state="running"}`, 2)
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}
