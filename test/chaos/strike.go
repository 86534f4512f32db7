//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// act is how a kind of fault is done, and undone.
type act struct {
	begin, end func(ctx context.Context, l *lab, f fault) error
}

var (
	kill = act{holdBy(syscall.SIGKILL), release}
	term = act{holdBy(syscall.SIGTERM), release}
	stop = act{send(syscall.SIGSTOP), send(syscall.SIGCONT)}
	cut  = act{plugInto(island), plugInto(mainland)}
)

// acts has the act of each kind.
var acts = map[kind]act{
	killWorker: kill, killCoordinator: kill, killNode: kill, killNodes: kill, killEveryone: kill,
	endWorker: term, endCoordinator: term, rollNodes: {begin: roll},
	stopWorker: stop, stopWorkerLong: stop, stopLeader: stop, stopLeaderLong: stop, stopNode: stop, stopNodes: stop,
	cutWorker: cut, cutWorkerLong: cut, cutCoordinator: cut, cutNode: cut, split: cut,
	fillNode: {fill, freeNode}, fillWorker: {fill, free}, fillCoordinator: {fill, free},
	deleteTasks: {begin: remove("AR_TASKS")}, purgeTasks: {begin: empty("AR_TASKS")}, deleteConsumer: {begin: dropConsumers},
	deleteResults: {begin: remove("AR_RESULTS_" + runName)}, purgeResults: {begin: empty("AR_RESULTS_" + runName)},
	deleteState: {begin: remove("KV_AR_STATE_" + runName)}, purgeState: {begin: empty("KV_AR_STATE_" + runName)},
	deleteLease: {begin: remove("KV_AR_LEASE")},
}

// each does something to every target at once.
func each(do func(ctx context.Context, m *member)) func(context.Context, *lab, fault) error {
	return func(ctx context.Context, l *lab, f fault) error {
		done := make(chan struct{})
		for _, name := range f.targets {
			go func() {
				do(ctx, l.members[name])
				done <- struct{}{}
			}()
		}
		for range f.targets {
			<-done
		}
		return nil
	}
}

func holdBy(sig syscall.Signal) func(context.Context, *lab, fault) error {
	return each(func(ctx context.Context, m *member) { m.hold(ctx, sig) })
}

func release(ctx context.Context, l *lab, f fault) error {
	return each(func(_ context.Context, m *member) { m.release() })(ctx, l, f)
}

func send(sig syscall.Signal) func(context.Context, *lab, fault) error {
	return each(func(_ context.Context, m *member) { m.signal(sig) })
}

// roll restarts one target after the other, as an upgrade does.
func roll(ctx context.Context, l *lab, f fault) error {
	for _, name := range f.targets {
		l.members[name].hold(ctx, syscall.SIGTERM)
		l.members[name].release()
		pause(ctx, f.lasts/time.Duration(len(f.targets)))
	}
	return nil
}

func plugInto(bridge string) func(context.Context, *lab, fault) error {
	return func(ctx context.Context, _ *lab, f fault) error { return plug(ctx, bridge, f.targets) }
}

func fill(_ context.Context, l *lab, f fault) error { return l.disks[f.targets[0]].fill() }
func free(_ context.Context, l *lab, f fault) error { return l.disks[f.targets[0]].free() }

// freeNode frees the disk and restarts the node: a server whose disk is full switches its JetStream off until then, and
// says so to whoever watches its health.
func freeNode(ctx context.Context, l *lab, f fault) error {
	err := free(ctx, l, f)
	return errors.Join(err, holdBy(syscall.SIGTERM)(ctx, l, f), release(ctx, l, f))
}

// streamPatience is how long a stream may refuse to be broken, for want of a quorum; an answer may be lost sooner.
const (
	streamPatience = 10 * time.Second
	answerPatience = 2 * time.Second
)

// byHand does something to the streams, as an operator would.
func byHand(do func(ctx context.Context, js jetstream.JetStream) error) func(context.Context, *lab, fault) error {
	return func(ctx context.Context, l *lab, _ fault) error {
		ctx, cancel := context.WithTimeout(ctx, streamPatience)
		defer cancel()
		return l.withStreams(ctx, func(js jetstream.JetStream) error {
			for {
				once, cancel := context.WithTimeout(ctx, answerPatience)
				err := do(once, js)
				cancel()
				if err == nil || ctx.Err() != nil {
					return err
				}
				pause(ctx, streamPatience/50)
			}
		})
	}
}

// withStreams connects to the cluster for a while.
func (l *lab) withStreams(ctx context.Context, do func(js jetstream.JetStream) error) error {
	conn, err := nats.Connect(l.urls(), nats.Name("chaos"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(streamPatience/50))
	if err != nil {
		return err
	}
	defer conn.Close()
	for !conn.IsConnected() {
		if ctx.Err() != nil {
			return fmt.Errorf("connect to NATS: %w", ctx.Err())
		}
		pause(ctx, streamPatience/100)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return do(js)
}

func remove(stream string) func(context.Context, *lab, fault) error {
	return byHand(func(ctx context.Context, js jetstream.JetStream) error {
		err := js.DeleteStream(ctx, stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil // it was done before, and the answer lost
		}
		return err
	})
}

func empty(stream string) func(context.Context, *lab, fault) error {
	return byHand(func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err == nil {
			err = s.Purge(ctx)
		}
		return err
	})
}

func dropConsumers(ctx context.Context, l *lab, f fault) error {
	return byHand(func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, "AR_TASKS")
		if err != nil {
			return err
		}
		names := s.ConsumerNames(ctx)
		for name := range names.Name() {
			if err := s.DeleteConsumer(ctx, name); err != nil {
				return err
			}
		}
		return names.Err()
	})(ctx, l, f)
}

// strikesAll reports whether of a group only fewer than wanted are left untouched by faults.
func strikesAll(group, struck []string, wanted int) bool {
	left := slices.DeleteFunc(slices.Clone(group), func(name string) bool { return slices.Contains(struck, name) })
	return len(left) < wanted
}
