package bus_test

import (
	"errors"
	"slices"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func TestPingMeetsALeaderOrNobody(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	leader, other := connect(t, bus.Options{URL: e.ClientURL()}), connect(t, bus.Options{URL: e.ClientURL()})
	const run spec.RunName = "süß"
	ping := func() error { return bus.NewUplinks(other).Ping(t.Context(), run) }
	if err := ping(); !errors.Is(err, bus.ErrNoLeader) {
		t.Fatalf("nobody leads: %v", err)
	}
	stop, err := bus.NewUplinks(leader).Lead(run)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leader.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	if err := bus.NewUplinks(other).Ping(t.Context(), "another"); !errors.Is(err, bus.ErrNoLeader) {
		t.Fatalf("nobody leads another: %v", err)
	}
	stop()
	if _, err := leader.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ping(); !errors.Is(err, bus.ErrNoLeader) {
		t.Fatalf("nobody leads any more: %v", err)
	}
}

func TestListenHearsAllWorkersInOrder(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	leader, worker := connect(t, bus.Options{URL: e.ClientURL()}), connect(t, bus.Options{URL: e.ClientURL()})
	heard := make(chan bus.Uplink, 100)
	stop, err := bus.NewUplinks(leader).Listen(func(_ spec.WorkerID, u bus.Uplink) { heard <- u })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leader.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What is no Uplink is skipped.
	if err := worker.NATS().Publish("ar.up.x", []byte("noise")); err != nil {
		t.Fatal(err)
	}
	var sent, got []uint64
	for boot := range uint64(20) {
		sent = append(sent, boot)
		if err := worker.SendUplink(&bus.Uplink{Worker: "a.b c", Boot: boot}); err != nil {
			t.Fatal(err)
		}
		u := <-heard
		got = append(got, u.Boot)
	}
	if !slices.Equal(sent, got) {
		t.Errorf("heard %v", got)
	}
	stop()
	if err := worker.SendUplink(&bus.Uplink{Worker: "w"}); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 0 {
		t.Error("heard something after stop")
	}
}

func TestUplinkTooLarge(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{MaxPayload: 64 << 10})
	c := connect(t, bus.Options{URL: e.ClientURL()})
	u := &bus.Uplink{Worker: "w", Running: []bus.Holding{{
		AttemptRef: bus.AttemptRef{Task: "t"}, Progress: string(make([]byte, 64<<10)),
	}}}
	if err := c.SendUplink(u); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("sent: %v", err)
	}
}

func TestDemandsReachEveryLeader(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	one, other := connect(t, bus.Options{URL: e.ClientURL()}), connect(t, bus.Options{URL: e.ClientURL()})
	heard := make(chan bus.Demand, 10)
	stop, err := bus.NewUplinks(one).ListenDemands(func(d bus.Demand) { heard <- d })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := one.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.NATS().Publish("ar.demand.x", []byte("noise")); err != nil {
		t.Fatal(err)
	}
	sent := bus.Demand{Version: 1, Run: "süß run", Weight: 2.5, Classes: []spec.ClassDemand{{Class: "cpu", Leases: 1, Wants: 4}}}
	if err := bus.NewUplinks(other).Tell(sent); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got.Run != sent.Run || got.Weight != sent.Weight || !slices.Equal(got.Classes, sent.Classes) {
		t.Errorf("%+v, sent %+v", got, sent)
	}
}
