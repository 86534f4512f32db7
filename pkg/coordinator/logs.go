package coordinator

import (
	"context"
	"errors"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// What is read of the output of attempts.
type (
	// LogScan reads the output of one attempt.
	LogScan = bus.LogScan
	// LogMessage is what an attempt wrote in a short while.
	LogMessage = bus.LogMessage
)

// LogAttempts returns the numbers of a task's attempts of which there is any output.
func (v *View) LogAttempts(ctx context.Context, id spec.TaskID) ([]uint32, error) {
	ctx, cancel := v.t.c.host.Within(ctx, outputTimeout)
	defer cancel()
	numbers, err := v.t.c.ports.logs.Attempts(ctx, id)
	return numbers, unlessMissing(err)
}

// unlessMissing makes a stream that is not there an empty one.
func unlessMissing(err error) error {
	if errors.Is(err, bus.ErrMissing) {
		return nil
	}
	return err
}

// ReadLog is scan.Read, where nobody has written anything in a run that has no stream of logs.
func (v *View) ReadLog(ctx context.Context, scan *LogScan, fn func(seq uint64, worker spec.WorkerID, m *LogMessage) error) error {
	return unlessMissing(scan.Read(ctx, fn))
}

// Log returns a scan of the output of an attempt after a position, 0 for the beginning.
func (v *View) Log(id spec.TaskID, attempt uint32, after uint64) *LogScan {
	return bus.NewLogScan(v.t.c.ports.logs, id, attempt, after)
}

// WatchLog calls fn when there may be more of an attempt's output, until stop is called. A call may be missing.
func (v *View) WatchLog(id spec.TaskID, attempt uint32, fn func()) (stop func(), err error) {
	return v.t.c.ports.logs.Watch(id, attempt, fn)
}
