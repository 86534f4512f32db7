package bus_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// doorbellOf ensures a doorbell for class "cpu".
func doorbellOf(t *testing.T, c *bus.Conn) bus.Doorbell {
	t.Helper()
	d := bus.NewDoorbell(c, bus.StreamOptions{}, func(subject string, err error) { t.Errorf("%s: %v", subject, err) })
	if _, err := d.Ensure(t.Context(), []string{"cpu"}); err != nil {
		t.Fatal(err)
	}
	return d
}

func task(id spec.TaskID) *bus.Dispatch {
	return &bus.Dispatch{Run: "r", Class: "cpu", Task: spec.TaskSpec{ID: id}, Attempt: 1}
}

func TestPullRemovesMalformedMessages(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	c := connect(t, bus.Options{URL: e.ClientURL()})
	d := doorbellOf(t, c)
	subject := bus.TaskSubject("cpu", "r", "noise", 1)
	if err := c.NATS().Publish(subject, []byte("noise")); err != nil {
		t.Fatal(err)
	}
	if err := d.Publish([]*bus.Dispatch{task("good")}, false); err != nil {
		t.Fatal(err)
	}
	var malformed []string
	puller := bus.NewPuller(c, "cpu", func(subject string, err error) {
		var format *bus.FormatError
		if !errors.As(err, &format) {
			t.Errorf("malformed: %v", err)
		}
		malformed = append(malformed, subject)
	})
	var got []*bus.Dispatch
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && (len(got) == 0 || len(malformed) == 0); {
		tasks, err := puller.Pull(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tasks...)
	}
	if len(got) != 1 || got[0].Task.ID != "good" || len(malformed) != 1 || malformed[0] != subject {
		t.Errorf("pulled %v, malformed %v", got, malformed)
	}
}

func TestPullEndsWithContext(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	c := connect(t, bus.Options{URL: e.ClientURL()})
	d := doorbellOf(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := bus.NewPuller(c, "cpu", nil).Pull(ctx, time.Minute)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
	// The request that was given up takes nothing.
	if err := d.Publish([]*bus.Dispatch{task("later")}, false); err != nil {
		t.Fatal(err)
	}
	tasks, err := bus.NewPuller(c, "cpu", nil).Pull(t.Context(), 5*time.Second)
	if err != nil || len(tasks) != 1 {
		t.Fatalf("pulled %v, error %v", tasks, err)
	}
}

// Many idle workers wait at once, and each task finds one of them.
func TestManyWorkersWait(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	c := connect(t, bus.Options{URL: e.ClientURL()})
	d := doorbellOf(t, c)
	const workers = 600
	var group sync.WaitGroup
	got := make(chan spec.TaskID, workers)
	for range workers {
		group.Go(func() {
			tasks, err := bus.NewPuller(c, "cpu", nil).Pull(t.Context(), 10*time.Second)
			if err != nil {
				t.Error(err)
			}
			for _, task := range tasks {
				got <- task.Task.ID
			}
		})
	}
	for n := range workers {
		if err := d.Publish([]*bus.Dispatch{task(spec.TaskID(rune('A' + n)))}, n < workers-1); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if len(got) != workers {
		t.Errorf("%d workers got a task, want %d", len(got), workers)
	}
}

func TestPullWhileCutOff(t *testing.T) {
	w := newRealWorld(t)
	doorbellOf(t, w.leader)
	puller := bus.NewPuller(w.worker, "cpu", nil)
	w.Down()
	start := time.Now()
	if _, err := puller.Pull(t.Context(), time.Second); err == nil {
		t.Error("pulled without a server")
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("noticed after %v", took)
	}
	w.Up()
	if _, err := puller.Pull(t.Context(), time.Second); !errors.Is(err, bus.ErrMissing) {
		t.Errorf("the restarted server has no doorbell: %v", err)
	}
	d := doorbellOf(t, w.leader)
	if err := d.Publish([]*bus.Dispatch{task("a")}, false); err != nil {
		t.Fatal(err)
	}
	if tasks, err := puller.Pull(t.Context(), 5*time.Second); err != nil || len(tasks) != 1 {
		t.Errorf("pulled %v, error %v", tasks, err)
	}
}
