package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/spec"
)

// startCluster starts three servers that form one JetStream, and returns their URLs.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	routes := make([]*url.URL, 3)
	ports := make([]int, 3)
	for i := range routes {
		ports[i] = bustest.FreePort(t)
		routes[i] = &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))}
	}
	servers := make([]*server.Server, 3)
	for i := range servers {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes, MaxPayload: bus.MaxPayloadDefault,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		servers[i] = s
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
	}
	return servers
}

// eventually repeats an action that a cluster refuses until it has elected its leaders.
func eventually(t *testing.T, action func(ctx context.Context) error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := action(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// What matters most holds for replicated streams too; their servers word some refusals differently.
func TestReplicated(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	var urls []string
	for _, s := range servers {
		if !s.ReadyForConnections(10 * time.Second) {
			t.Fatal("not ready")
		}
		urls = append(urls, s.ClientURL())
	}
	var c *bus.Conn
	eventually(t, func(ctx context.Context) (err error) {
		c, err = bus.Connect(ctx, bus.Options{URL: strings.Join(urls, ","), Logger: quiet(), ReconnectWait: 10 * time.Millisecond})
		return err
	})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	o := bus.StreamOptions{Replicas: 3}
	j := bus.NewJournal(c, "r", o)
	eventually(t, func(ctx context.Context) error { _, err := j.Ensure(ctx); return err })
	results := bus.NewResults(c, "r", o)
	eventually(t, results.Ensure)
	d := bus.NewDoorbell(c, o, func(subject string, err error) { t.Errorf("%s: %v", subject, err) })
	eventually(t, func(ctx context.Context) error { _, err := d.Ensure(ctx, []string{"cpu"}); return err })

	t.Run("journal", func(t *testing.T) { replicatedJournal(t, j, bus.NewJournal(c, "r", o)) })
	t.Run("doorbell", func(t *testing.T) { replicatedDoorbell(t, c, d) })
	t.Run("results", func(t *testing.T) { replicatedResults(t, c, results) })
}

func replicatedJournal(t *testing.T, j, other bus.Journal) {
	for seq := range uint64(50) {
		if err := j.Append(t.Context(), seq, []byte("ours")); err != nil {
			t.Fatal(err)
		}
	}
	for _, expect := range []uint64{0, 49, 51} {
		if err := other.Append(t.Context(), expect, []byte("theirs")); !errors.Is(err, bus.ErrConflict) {
			t.Fatalf("expecting %d: %v", expect, err)
		}
	}
	// Of writers that append at the same moment, exactly one wins.
	const writers = 8
	outcomes := make(chan error, writers)
	for range writers {
		go func() { outcomes <- other.Append(t.Context(), 50, []byte("race")) }()
	}
	won := 0
	for range writers {
		switch err := <-outcomes; {
		case err == nil:
			won++
		case !errors.Is(err, bus.ErrConflict):
			t.Errorf("lost with %v", err)
		}
	}
	if won != 1 {
		t.Fatalf("%d writers won", won)
	}
	if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Last != 51 {
		t.Fatalf("bounds %+v, error %v", bounds, err)
	}
	var seqs []uint64
	if err := j.Read(t.Context(), 40, func(seq uint64, _ []byte) error { seqs = append(seqs, seq); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seqs, []uint64{40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51}) {
		t.Fatalf("read %v", seqs)
	}
}

func replicatedDoorbell(t *testing.T, c *bus.Conn, d bus.Doorbell) {
	const tasks = 20
	for range 5 { // all but the first are duplicates, some while the first is still under way
		for n := range tasks {
			if err := d.Publish([]*bus.Dispatch{task(spec.TaskID(fmt.Sprint(n)))}, n < tasks-1); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := map[spec.TaskID]bool{}
	puller := bus.NewPuller(c, "cpu", nil)
	for len(got) < tasks {
		pulled, err := puller.Pull(t.Context(), 5*time.Second)
		if err != nil || len(pulled) == 0 {
			t.Fatalf("pulled %v, error %v after %d", pulled, err, len(got))
		}
		for _, task := range pulled {
			got[task.Task.ID] = true
		}
	}
}

func replicatedResults(t *testing.T, c *bus.Conn, results bus.Results) {
	arrived := make(chan uint64, 100)
	stop, err := results.Consume(t.Context(), 0, func(seq uint64, _ spec.WorkerID, _ []byte) { arrived <- seq }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for seq := uint64(1); seq <= 20; seq++ {
		report(t, c)
		if got := <-arrived; got != seq {
			t.Fatalf("%d arrived, want %d", got, seq)
		}
	}
}
