//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lookInterval is how often the run is looked at.
const lookInterval = 200 * time.Millisecond

// errStuck says that a healed run does not go on.
var errStuck = errors.New("I7: it does not resume")

// awaitWork waits until executions end, so that there is something to break.
func (l *lab) awaitWork(ctx context.Context, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, lookInterval) {
		h, err := readHistory(l.executions())
		if err != nil {
			return err
		}
		if len(h.ends()) > 0 {
			return nil
		}
	}
	return errors.Join(ctx.Err(), fmt.Errorf("no task ended in the first %v", patience))
}

// awaitEnd waits until every coordinator says that the run is over. Verdicts do not depend on speed: it waits as long as
// executions begin or end, and patience beyond.
func (l *lab) awaitEnd(ctx context.Context, patience time.Duration) error {
	moved, size := time.Now(), int64(0)
	for !l.finished() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if log, err := os.Stat(l.executions()); err == nil && log.Size() > size {
			moved, size = time.Now(), log.Size()
		}
		if time.Since(moved) > patience {
			return errStuck
		}
		pause(ctx, lookInterval)
	}
	return nil
}

func (l *lab) executions() string { return filepath.Join(l.dir, "executions") }

// verify has the product's own checker look at journal, mirror, tree and the workers' logs.
func (l *lab) verify(ctx context.Context) (wrong []string) {
	program := filepath.Join(l.bin, "autoresearch")
	if exec.CommandContext(ctx, program, "verify", "--help").Run() != nil {
		return nil // this version has none
	}
	args := []string{"verify", "--nats", l.urls(), "--run", runName}
	for _, name := range workers {
		args = append(args, "--worker-dir", l.home(name))
	}
	text, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if errors.Join(err, os.WriteFile(filepath.Join(l.dir, "verify.log"), text, 0o644)) != nil {
		return []string{fmt.Sprintf("autoresearch verify: %v\n%s", err, text)}
	}
	return nil
}

// leave asks the workers to end, and returns the experiments that run all the same.
func (l *lab) leave(ctx context.Context) (wrong []string) {
	if err := holdBy(syscall.SIGTERM)(ctx, l, fault{targets: workers}); err != nil {
		return []string{err.Error()}
	}
	program := filepath.Join(l.bin, "experiment")
	processes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return []string{err.Error()}
	}
	for _, link := range processes {
		if target, err := os.Readlink(link); err == nil && target == program {
			wrong = append(wrong, "an experiment outlived its worker: "+filepath.Dir(link))
		}
	}
	return wrong
}

// alarms returns what the logs say that must never be said: a panic, a race, or an alarm, since nobody touched the journal.
func (l *lab) alarms() (wrong []string) {
	for _, name := range append(append([]string{}, coordinators...), workers...) {
		text, err := os.ReadFile(l.log(name))
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		for line := range bytes.Lines(text) {
			for _, sign := range []string{"panic:", "fatal error:", "DATA RACE", "msg=alarm"} {
				if bytes.Contains(line, []byte(sign)) {
					wrong = append(wrong, name+": "+strings.TrimSpace(string(line)))
				}
			}
		}
	}
	return wrong
}

// keep saves what would vanish with the sandbox, for whoever looks for the cause: the goroutines of all members, in their
// logs, the state of the streams, and the disks.
func (l *lab) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	errs := []error{l.withStreams(ctx, l.dumpStreams)}
	for _, m := range l.members {
		m.signal(syscall.SIGQUIT)
	}
	pause(ctx, restartPause/2) // before they are started again
	errs = append(errs, l.close())
	for name, d := range l.disks {
		to := filepath.Join(l.dir, "disks", name)
		errs = append(errs, os.MkdirAll(filepath.Dir(to), 0o755), os.CopyFS(to, os.DirFS(d.path)))
	}
	return errors.Join(errs...)
}

// dumpStreams writes what the cluster says of its streams.
func (l *lab) dumpStreams(js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(context.Background(), streamPatience)
	defer cancel()
	var text bytes.Buffer
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		_, _ = fmt.Fprintf(&text, "%s: %+v\n\tcluster %+v\n", info.Config.Name, info.State, info.Cluster)
		for _, peer := range info.Cluster.Replicas {
			_, _ = fmt.Fprintf(&text, "\t%+v\n", *peer)
		}
	}
	return errors.Join(streams.Err(), os.WriteFile(filepath.Join(l.dir, "streams"), text.Bytes(), 0o644))
}
