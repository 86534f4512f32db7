package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
	"autoresearch/pkg/worker"
)

// scratch is where the run that all tests share leaves its files.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "autoresearch-verify-"); err != nil {
		panic(err)
	}
	bustest.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(scratch); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

const runName spec.RunName = "search"

// remains is what a run left behind: everything that verify looks at, to be changed by a test.
type remains struct {
	records   []*bus.Record
	damage    map[int]func([]byte) // of records by index, after they are encoded
	mirror    map[string][]byte
	workdir   string
	workerDir string
	purged    uint64 // the journal begins here; 0: at its beginning
}

// search is a workflow whose every task fails its first attempt in three, and whose results have children.
type search struct{}

func (search) Load(context.Context) ([]spec.TaskSpec, error) {
	return []spec.TaskSpec{{ID: "r", Kind: "train", Payload: spec.Payload(`{"lr":1e-3}`)}, {ID: "s", Kind: "train", Priority: 1}}, nil
}

func (search) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (search) OnResult(_ context.Context, _ spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	return r.Children, nil
}

func (search) Summarize(context.Context, string) (string, error) { return "done\n", nil }

func (search) Policies() (map[string]spec.KindPolicy, bool) {
	return map[string]spec.KindPolicy{"train": {Retries: 2}}, true
}

func (search) Limits() spec.Limits { return spec.Limits{} }

// train grows two levels of three children below each root.
func train(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	if id := a.Task.ID; id[len(id)-1] == '1' && a.Number == 1 {
		return spec.TaskResult{}, &spec.AutoresearchError{Record: spec.FailureRecord{
			Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: "the first attempt fails", Retryable: true, Details: map[string]any{"n": 1.5},
		}}
	}
	r := spec.TaskResult{Metrics: map[string]float64{"loss": float64(len(a.Task.ID))}, Output: json.RawMessage(`{"note":"ü"}`)}
	if len(a.Task.ID) < 3 {
		for i := range 3 {
			r.Children = append(r.Children, spec.TaskSpec{ID: spec.TaskID(fmt.Sprintf("%s%d", a.Task.ID, i)), Kind: "train"})
		}
	}
	return r, nil
}

// searchSize is how many tasks the search has.
const searchSize = 2 * (1 + 3 + 9)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// lab is a real run on a real server, in one directory.
type lab struct {
	dir    string
	server *bus.Embedded
	conn   *bus.Conn
}

func openLab(dir string) (*lab, error) {
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: filepath.Join(dir, "nats"), Port: -1, Logger: quiet()})
	if err != nil {
		return nil, err
	}
	conn, err := server.Connect(context.Background(), "lab")
	if err != nil {
		return nil, errors.Join(err, server.Shutdown())
	}
	return &lab{dir: dir, server: server, conn: conn}, nil
}

func (l *lab) close() error { return errors.Join(l.conn.Close(), l.server.Shutdown()) }

func (l *lab) workdir() string   { return filepath.Join(l.dir, "workdir") }
func (l *lab) workerDir() string { return filepath.Join(l.dir, "worker") }

// work starts a worker and returns what ends it.
func (l *lab) work(runner spec.RunnerFunc) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- worker.Run(ctx, worker.Options{
			Conn: l.conn, Dir: l.workerDir(), Slots: map[string]int{spec.ClassDefault: 2}, Heartbeat: 100 * time.Millisecond,
			Runners: map[string]spec.Runner{"train": runner}, Logger: quiet(),
		})
	}()
	return func() error {
		cancel()
		return <-done
	}
}

// coordinate leads the run until it has stopped, or ctx ends.
func (l *lab) coordinate(ctx context.Context, change func(*coordinator.Options)) error {
	o := coordinator.Options{
		Conn: l.conn, Run: runName, Workflow: search{}, MaxConcurrency: 2, Workdir: l.workdir(), ExitWhenStopped: true, Seed: 1, Logger: quiet(),
	}
	if change != nil {
		change(&o)
	}
	c, err := coordinator.New(o)
	if err != nil {
		return err
	}
	_, err = c.Run(ctx)
	return err
}

// sources are those of the real server.
func (l *lab) sources() verify.Sources {
	return verify.Sources{
		Run: runName, Journal: bus.NewJournal(l.conn, runName, bus.StreamOptions{}), Mirror: kv.NewMirror(l.conn, runName, bus.StreamOptions{}),
		Results: func(ctx context.Context, fn func(uint64, []byte) error) (time.Time, error) {
			return l.conn.ReadResults(ctx, runName, fn)
		},
		Workdir: l.workdir(), WorkerDirs: []string{l.workerDir()},
	}
}

// finished is one finished run that all tests share; they change copies of it.
var finished = sync.OnceValues(func() (*remains, error) {
	l, err := openLab(scratch)
	if err != nil {
		return nil, err
	}
	stop := l.work(train)
	err = errors.Join(l.coordinate(context.Background(), nil), stop())
	var r *remains
	if err == nil {
		r, err = l.collect()
	}
	return r, errors.Join(err, l.close())
})

// collect reads everything into memory and files of its own.
func (l *lab) collect() (*remains, error) {
	r := &remains{mirror: make(map[string][]byte)}
	s, ctx := l.sources(), context.Background()
	err := s.Journal.Read(ctx, 1, func(_ uint64, data []byte) error {
		record, err := bus.DecodeRecord(data)
		r.records = append(r.records, record)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = s.Mirror.Load(ctx, func(key string, value []byte) error {
		r.mirror[key] = slices.Clone(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.workdir, r.workerDir = l.workdir(), l.workerDir()
	return r, nil
}

// copyOf returns a copy of the finished run that the test may change.
func copyOf(t *testing.T) *remains {
	t.Helper()
	whole, err := finished()
	if err != nil {
		t.Fatal(err)
	}
	r := &remains{mirror: make(map[string][]byte), damage: make(map[int]func([]byte)), workdir: t.TempDir(), workerDir: t.TempDir()}
	for _, record := range whole.records {
		data, err := bus.AppendRecord(nil, record)
		if err != nil {
			t.Fatal(err)
		}
		again, err := bus.DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		r.records = append(r.records, again)
	}
	for key, value := range whole.mirror {
		r.mirror[key] = slices.Clone(value)
	}
	for from, to := range map[string]string{whole.workdir: r.workdir, whole.workerDir: r.workerDir} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// check puts the remains onto a modelled server and lets verify look at them.
func (r *remains) check(t *testing.T) *verify.Report {
	t.Helper()
	server := model.NewServer(time.Now)
	client := model.NewClient(server, model.Direct{Server: server}, nil)
	journal, mirror := client.Journal(runName, bus.StreamOptions{}), client.Mirror(runName)
	ctx := t.Context()
	if _, err := journal.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	for i, record := range r.records {
		data, err := bus.AppendRecord(nil, record)
		if err != nil {
			t.Fatal(err)
		}
		if damage := r.damage[i]; damage != nil {
			damage(data)
		}
		if err := journal.Append(ctx, uint64(i), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := journal.Purge(ctx, r.purged); err != nil {
		t.Fatal(err)
	}
	s := verify.Sources{Run: runName, Journal: journal, Workdir: r.workdir}
	if r.workerDir != "" {
		s.WorkerDirs = []string{r.workerDir}
	}
	if r.mirror != nil {
		fillMirror(t, mirror, r.mirror)
		s.Mirror = mirror
	}
	report, err := verify.Run(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func fillMirror(t *testing.T, m kv.Mirror, keys map[string][]byte) {
	t.Helper()
	if _, err := m.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for key, value := range keys {
		var err error
		if last, err = m.Flush(t.Context(), last, []kv.Entry{{Key: key, Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
}
