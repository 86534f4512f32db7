// Command charlm is the demonstration experiment of the engine: it trains a
// small language model on the bytes of one book, for a fixed amount of
// arithmetic, and reports how many bits it needs for a byte of held-out text
// (val_bpb, lower is better). The engine's search varies its parameters.
//
// Run by hand it takes its parameters from flags; run by the engine, from the
// task file. Exit status: 0 done, 1 failed or stopped, 2 wrong parameters.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

const (
	exitDone = iota
	exitFailed
	exitUsage
)

func main() {
	// One experiment uses one core: the engine runs several at a time.
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	status := command(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// usageError is a mistake in the parameters, not in the run.
type usageError struct{ error }

// command runs one experiment from its arguments and environment, and returns
// the exit status of the process.
func command(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	err := perform(ctx, args, getenv, stdout)
	if err == nil {
		return exitDone
	}
	// If standard error cannot be written either, the status alone must do.
	_, _ = fmt.Fprintf(stderr, "charlm: %v\n", err)
	if _, is := errors.AsType[usageError](err); is {
		return exitUsage
	}
	return exitFailed
}

// perform trains, and leaves the result where the engine expects it.
func perform(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	o, err := readOptions(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		return usage(stdout)
	}
	if err != nil {
		return usageError{err}
	}
	r, err := runExperiment(ctx, o, newCorpus(opticks), stdout)
	if err == nil && o.resultFile != "" {
		err = writeResult(o.resultFile, r)
	}
	return err
}
