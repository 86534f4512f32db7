//go:build linux

package e2e

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

// trail is where the programs of a test leave what autoresearch verify looks at. At the end of the test, when everything
// is dead, the run must have kept its promises.
type trail struct {
	t       *testing.T
	store   string // of NATS
	workers []string
	led     []string // workdirs
	// excused tests end with something that verify is right to object to.
	excused bool
}

// follow makes the end of the test check what is left. It must be called before any program is started that writes there.
func (l *trail) follow() {
	l.t.Cleanup(func() {
		if !l.t.Failed() && !l.excused {
			l.check()
		}
	})
}

// check looks at each workdir whose coordinator has led.
func (l *trail) check() {
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: l.store, InProcess: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		l.t.Errorf("look at what is left in %s: %v", l.store, err)
		return
	}
	conn, err := server.Connect(context.Background(), "e2e")
	if err == nil {
		for _, workdir := range l.led {
			l.checkWorkdir(conn, workdir)
		}
		err = conn.Close()
	}
	if err = errors.Join(err, server.Shutdown()); err != nil {
		l.t.Error(err)
	}
}

func (l *trail) checkWorkdir(conn *bus.Conn, workdir string) {
	record, err := snapshot.ReadRun(workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return // it has stood by
	}
	if err != nil {
		l.t.Error(err)
		return
	}
	report, err := verify.Run(context.Background(), sourcesOf(conn, record.Run, workdir, l.logs()))
	if err != nil {
		l.t.Errorf("verify %s: %v", workdir, err)
		return
	}
	for _, v := range report.Violations {
		l.t.Errorf("verify: %s", v)
	}
	for _, doubt := range report.Doubts {
		l.t.Errorf("verify doubts: %s", doubt)
	}
	if report.Counts.WorkerLogs != len(l.logs()) || report.Counts.Records == 0 {
		l.t.Errorf("verify saw too little: %+v", report.Counts)
	}
}

// logs returns the workers' directories that a worker has used, each once.
func (l *trail) logs() (dirs []string) {
	seen := map[string]bool{}
	for _, dir := range l.workers {
		if _, err := os.Stat(filepath.Join(dir, "attempts.log")); err == nil && !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func sourcesOf(conn *bus.Conn, run spec.RunName, workdir string, workers []string) verify.Sources {
	return verify.Sources{
		Run: run, Journal: bus.NewJournal(conn, run, bus.StreamOptions{}), Mirror: kv.NewMirror(conn, run, bus.StreamOptions{}),
		Rejects: bus.NewRejects(conn, run, bus.StreamOptions{}), Workdir: workdir, WorkerDirs: workers,
		Results: func(ctx context.Context, fn func(uint64, []byte) error) (time.Time, error) {
			return conn.ReadResults(ctx, run, fn)
		},
	}
}

// TestVerifyARunningEngine asks the command about a workdir while its engine runs, and when it has ended.
func TestVerifyARunningEngine(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 2, heldAndQueued(2), "")
	engine := s.begin()
	s.lab.awaitRunning(2)
	beside := start(t, "autoresearch", "verify", s.workdir.dir)
	beside.wantExit(0)
	beside.wantSaid("no promise is broken", "4 in flight")
	s.lab.open("go")
	engine.wantExit(0)
	after := start(t, "autoresearch", "verify", s.workdir.dir)
	after.wantExit(0)
	after.wantSaid("no promise is broken", "4 completed", "0 in flight")
}
