package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	engine, dir, output string
	tasks, rounds       int
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.StringVar(&o.engine, "engine", "bin/autoresearch", "our `PROGRAM`")
	fs.StringVar(&o.dir, "dir", "", "make the temporary folder in `DIR`")
	fs.StringVar(&o.output, "o", "text", "report as `FORMAT`: text or json")
	fs.IntVar(&o.tasks, "tasks", 20_000, "`N` tasks a round")
	fs.IntVar(&o.rounds, "rounds", 3, "`N` rounds")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.output != "text" && o.output != "json" || o.tasks < 1 || o.rounds < 1 {
		return errors.New("-o must be text or json, -tasks and -rounds at least 1")
	}
	report, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	return report.writeText(out)
}

// system is a job queue with its server running.
type system interface {
	// do submits so many tasks and returns how long it took until the last was recorded as completed.
	do(ctx context.Context, tasks int) (time.Duration, error)
	// clear empties it for the next round.
	clear(ctx context.Context) error
	describe() (name string, d Durability, settings string)
	// close stops it, with its server.
	close() error
}

type opener func(ctx context.Context, dir string) (system, error)

// peers are measured in this order.
var peers = []struct {
	name string
	open opener
}{
	{"asynq, everysec", openAsynq(EverySecond)}, {"asynq, always", openAsynq(Always)}, {"River", openRiver},
}

// measure runs all systems in turn. Servers are stopped and the folder is removed before it returns.
func measure(ctx context.Context, o options, progress io.Writer) (_ *Report, err error) {
	dir, err := os.MkdirTemp(o.dir, "autoresearch-peers-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run as another user
		return nil, err
	}
	m := &measurement{options: o, progress: progress, report: &Report{Tasks: o.tasks, Payload: payloadSize, Rounds: o.rounds}}
	m.dir = dir
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.open(ctx); err != nil {
		return nil, err
	}
	for round := range o.rounds {
		if err := m.round(ctx, round); err != nil {
			return nil, err
		}
	}
	m.report.compare()
	return m.report, nil
}

// measurement is one run of this program.
type measurement struct {
	options
	progress io.Writer
	report   *Report
	ours     [2]*Found
	systems  []system
	found    []*Found // of systems
}

// open starts the peers that are installed.
func (m *measurement) open(ctx context.Context) error {
	m.ours = [2]*Found{{Durability: EverySecond}, {Durability: Always}}
	m.report.Systems = append(m.report.Systems, m.ours[:]...)
	for _, p := range peers {
		s, err := p.open(ctx, m.dir)
		if errors.Is(err, errNoServer) {
			m.report.Skipped = append(m.report.Skipped, fmt.Sprintf("%s: %v", p.name, err))
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		f := &Found{}
		f.Name, f.Durability, f.Settings = s.describe()
		m.systems, m.found = append(m.systems, s), append(m.found, f)
		m.report.Systems = append(m.report.Systems, f)
	}
	return nil
}

func (m *measurement) close() error {
	var errs []error
	for _, s := range m.systems {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// round measures every system once: ours first and last in turn.
func (m *measurement) round(ctx context.Context, n int) error {
	turns := append([]func(context.Context) error{m.roundOfOurs}, m.roundsOfPeers()...)
	for i := range turns {
		if n%2 == 1 {
			i = len(turns) - 1 - i
		}
		if err := turns[i](ctx); err != nil {
			return err
		}
	}
	m.say("round %d of %d done", n+1, m.rounds)
	return nil
}

// say tells one line of progress; whoever cannot hear it misses nothing.
func (m *measurement) say(format string, args ...any) {
	_, _ = fmt.Fprintf(m.progress, format+"\n", args...)
}

func (m *measurement) roundOfOurs(ctx context.Context) error {
	r, err := runEngine(ctx, m.engine, m.dir, m.tasks, m.progress)
	if err != nil {
		return err
	}
	e := r.Environment
	m.report.Machine = fmt.Sprintf("%s, %d cores, %s; %s, nats-server %s", e.CPU, e.Cores, e.OS, e.Go, e.NATSServer)
	for i, rate := range []float64{r.Throughput.TasksPerS, r.Durable.TasksPerS} {
		m.ours[i].Name = "autoresearch " + e.Version
		m.ours[i].Settings = fmt.Sprintf("%s; %d slots, budget %[2]d; each result in the spool of the worker before it is sent, fsynced within 20 ms",
			[]string{"NATS sync_interval 1s", "NATS sync_interval always"}[i], engineSlots)
		m.ours[i].add(rate)
	}
	return nil
}

func (m *measurement) roundsOfPeers() []func(context.Context) error {
	var turns []func(context.Context) error
	for i, s := range m.systems {
		turns = append(turns, func(ctx context.Context) error { return m.roundOf(ctx, s, m.found[i]) })
	}
	return turns
}

// roundOf measures a peer, after a tenth of the tasks to warm up.
func (m *measurement) roundOf(ctx context.Context, s system, f *Found) error {
	for _, tasks := range []int{m.tasks/10 + 1, m.tasks} {
		if err := s.clear(ctx); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		took, err := s.do(ctx, tasks)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if tasks == m.tasks {
			f.add(float64(tasks) / took.Seconds())
			m.say("%s, %s: %.0f tasks/s", f.Name, f.Durability, f.Rates[len(f.Rates)-1])
		}
	}
	return nil
}
