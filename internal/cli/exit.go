package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// The exit codes of every program.
const (
	ExitError = 1
	ExitUsage = 2
	// ExitBreaker is how a program ends whose run the breaker stopped.
	ExitBreaker = 3
	// ExitSignal + the signal's number is how a program ends that a signal interrupted: 130 for SIGINT, 143 for SIGTERM.
	ExitSignal = 128
)

// ExitError carries an exit code through an error. Err may be nil: then nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Exit returns an error that makes Main end with code; it prints err unless that is nil.
func Exit(code int, err error) error { return &exitError{code: code, err: err} }

// Main runs a command and returns the exit code. Flags and arguments that the command does not take are ExitUsage.
func Main(cmd *cobra.Command) int {
	defer collectRarely()()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	usage := true // until a command begins to run: flags and arguments were wrong
	noteRuns(cmd, func() { usage = false })
	err := cmd.ExecuteContext(context.Background())
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), exit.err)
		}
		return exit.code
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
	if usage {
		return ExitUsage
	}
	return ExitError
}

// noteRuns calls began when the command, or any below it, begins to run.
func noteRuns(cmd *cobra.Command, began func()) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			began()
			return run(cmd, args)
		}
	}
	for _, below := range cmd.Commands() {
		noteRuns(below, began)
	}
}

// Signals turns SIGINT and SIGTERM into a graceful end and then a sudden one.
type Signals struct {
	// Kill is closed at the second signal: end at once.
	Kill  chan struct{}
	first atomic.Int32
	stop  func()
}

// NotifySignals returns a context that the first SIGINT or SIGTERM cancels. Stop must be called at the end.
func NotifySignals(parent context.Context) (context.Context, *Signals) {
	ctx, cancel := context.WithCancel(parent)
	s := &Signals{Kill: make(chan struct{})}
	arrived := make(chan os.Signal, 4)
	ended := make(chan struct{})
	signal.Notify(arrived, syscall.SIGINT, syscall.SIGTERM)
	s.stop = func() {
		signal.Stop(arrived)
		cancel()
		<-ended
	}
	go func() {
		defer close(ended)
		s.wait(ctx, arrived, cancel)
	}()
	return ctx, s
}

func (s *Signals) wait(ctx context.Context, arrived <-chan os.Signal, cancel func()) {
	select {
	case sig := <-arrived:
		number, _ := sig.(syscall.Signal) // every os.Signal on Unix is one
		s.first.Store(int32(number))
		cancel()
	case <-ctx.Done():
		return
	}
	go func() {
		first := time.Now()
		for range arrived {
			if time.Since(first) > atOnce {
				close(s.Kill)
				return
			}
		}
	}()
}

// atOnce is how close together signals count as one: timeout(1) sends its signal to the program and to its group.
const atOnce = 200 * time.Millisecond

// Code is the exit code that the first signal asks for; 0 when there was none.
func (s *Signals) Code() int {
	if number := s.first.Load(); number != 0 {
		return ExitSignal + int(number)
	}
	return 0
}

// UntilKilled runs f and returns what it returns, or, at the second signal, an error with the exit code: the process must
// end then, and with it whatever f still does. Before that, tidied (nil: nothing) is waited for, but not for long.
func (s *Signals) UntilKilled(f func() error, tidied <-chan struct{}) error {
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = f()
	}()
	select {
	case <-done:
		return err
	case <-s.Kill:
	}
	if tidied != nil {
		select {
		case <-tidied:
		case <-done:
		case <-time.After(tidyMax):
		}
	}
	return Exit(s.Code(), nil)
}

// tidyMax is how long a process that was told twice to end may still take.
const tidyMax = 3 * time.Second

// Stop ends the handling of signals. It is idempotent.
func (s *Signals) Stop() { s.stop() }
