//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	seed     uint64
	length   time.Duration
	patience time.Duration
	output   string
	race     bool
	dir, bin string
}

// replay is the command that plays the same schedule again.
func (o *options) replay() string {
	return fmt.Sprintf("go run ./test/chaos -seed %d -for %v", o.seed, o.length)
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "draws schedule and tree")
	flag.DurationVar(&o.length, "for", 3*time.Minute, "how long faults happen; the run ends some time later")
	flag.DurationVar(&o.patience, "patience", 3*time.Minute, "how long nothing may happen in a healed run")
	flag.StringVar(&o.output, "o", "", "write the report as JSON to this file")
	flag.BoolVar(&o.race, "race", false, "build the programs with the race detector")
	flag.StringVar(&o.dir, "dir", "", "an empty folder for all files (default: a new one, removed when nothing was found)")
	flag.StringVar(&o.bin, "bin", "", "folder of the built programs (default: build them)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := o.main(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		code = 1
	}
	os.Exit(code)
}

// main builds, and then runs in a sandbox, or without one where the machine grants none.
func (o *options) main(ctx context.Context) (code int, err error) {
	if os.Getenv(envInside) != "" {
		return o.inside(ctx)
	}
	if err := o.prepare(ctx); err != nil {
		return 1, err
	}
	args := []string{
		"-seed", fmt.Sprint(o.seed), "-for", o.length.String(), "-patience", o.patience.String(), "-o", o.output,
		"-dir", o.dir, "-bin", o.bin,
	}
	code, entered, err := sandboxed(ctx, args)
	if !entered {
		fmt.Println("no namespaces, so neither partitions nor full disks:", err)
		code, err = o.inside(ctx)
	}
	if code == 0 || ctx.Err() != nil { // nothing was found
		err = errors.Join(err, os.RemoveAll(o.dir))
	}
	return code, err
}

// prepare makes the folder and builds the programs.
func (o *options) prepare(ctx context.Context) (err error) {
	if o.output != "" {
		if o.output, err = filepath.Abs(o.output); err != nil {
			return err
		}
	}
	if o.dir == "" {
		o.dir, err = os.MkdirTemp("", "chaos-")
	} else if o.dir, err = filepath.Abs(o.dir); err == nil {
		err = os.MkdirAll(o.dir, 0o755)
	}
	if err != nil || o.bin != "" {
		return err
	}
	o.bin = filepath.Join(o.dir, "bin")
	return o.build(ctx)
}

// build builds what the lab runs, the server of NATS included.
func (o *options) build(ctx context.Context) error {
	ours := []string{"build", "-o", o.bin + "/"}
	if o.race {
		ours = append(ours, "-race")
	}
	ours = append(ours, "./cmd/...", "./test/chaos/experiment")
	for _, args := range [][]string{ours, {"build", "-o", filepath.Join(o.bin, "nats-server"), "github.com/nats-io/nats-server/v2"}} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go %v: %w", args, err)
		}
	}
	return nil
}

// inside plays the schedule and judges the run. The code is 0 when nothing was found.
func (o *options) inside(ctx context.Context) (code int, err error) {
	l, err := newLab(ctx, o)
	if err != nil {
		return 1, err
	}
	s := &storm{lab: l, out: os.Stdout, began: time.Now()}
	fmt.Printf("seed %d: %d tasks, faults for %v; all files in %s\n", o.seed, l.tree.Size, o.length, o.dir)
	l.start(context.WithoutCancel(ctx)) // they outlive an interrupt, until all is saved
	r, err := s.run(ctx, o)
	if err != nil {
		return 1, errors.Join(err, l.close())
	}
	if len(r.Violations) > 0 {
		r.Folder, code = o.dir, 1
		err = l.keep(context.WithoutCancel(ctx))
	} else {
		err = l.close()
	}
	fmt.Println()
	r.print(os.Stdout)
	if o.output != "" {
		err = errors.Join(err, r.write(o.output))
	}
	return code, err
}

// run plays the schedule, waits for the end of the run, and judges it.
func (s *storm) run(ctx context.Context, o *options) (*report, error) {
	l := s.lab
	broken := l.awaitWork(ctx, o.patience)
	if broken == nil {
		s.play(ctx, plan(o.seed, o.length, possible(rules, l.has)))
		if err := l.hurry(); err != nil {
			return nil, err
		}
		broken = l.awaitEnd(ctx, o.patience)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.say("the run is over")
	h, err := readHistory(l.executions())
	if err != nil {
		return nil, err
	}
	r := s.reportOn(o, &h)
	if broken != nil {
		r.Violations = append(r.Violations, broken.Error())
	}
	r.Violations = append(r.Violations, s.judge(ctx, &h, broken == nil)...)
	return r, nil
}

// judge returns everything that is wrong with the run.
func (s *storm) judge(ctx context.Context, h *history, ended bool) (wrong []string) {
	l := s.lab
	wrong = l.alarms()
	if h.strays > 0 {
		wrong = append(wrong, fmt.Sprintf("%d lines of experiments that no task explains", h.strays))
	}
	if !ended {
		return wrong
	}
	for _, name := range coordinators {
		wrong = append(wrong, judge(l.tree, h, l.home(name))...)
	}
	wrong = append(wrong, l.verify(ctx)...)
	return append(wrong, l.leave(ctx)...)
}
