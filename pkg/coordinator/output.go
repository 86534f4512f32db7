package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// outputTimeout bounds one read of what an attempt left.
const outputTimeout = time.Minute

// artifactBytesMax is the largest artifact that is read: it is held in memory meanwhile.
const artifactBytesMax = 1 << 30

// seriesBytesMax is the largest blob of series that is read.
const seriesBytesMax = 4 << 20

// ErrNotKept says that what an attempt left is not there any more: the oldest made room, or it went by age.
var ErrNotKept = errors.New("it is no longer kept")

// Series returns how the metrics of the attempt that decided a task went. Of many points the result itself has a selection;
// where the rest cannot be had, err says why and the selection is returned all the same.
func (v *View) Series(ctx context.Context, t *spec.Task) ([]spec.Series, error) {
	result, err := v.Result(t)
	if err != nil || result.SeriesStored.IsZero() {
		return result.Series, err
	}
	data, err := v.kept(ctx, result.SeriesStored, seriesBytesMax)
	if err != nil {
		return result.Series, fmt.Errorf("task %q: all points of its series: %w", t.Spec.ID, err)
	}
	all, err := bus.DecodeSeries(data)
	if err != nil {
		return result.Series, fmt.Errorf("task %q: %w", t.Spec.ID, err)
	}
	return all, nil
}

// kept reads a blob of the run's output store.
func (v *View) kept(ctx context.Context, b spec.Blob, limit int64) ([]byte, error) {
	ctx, cancel := v.t.c.host.Within(ctx, outputTimeout)
	defer cancel()
	data, err := v.t.c.ports.output.Get(ctx, b, limit)
	var damaged *bus.DamageError
	if errors.Is(err, bus.ErrMissing) || errors.As(err, &damaged) { // of an old blob its first half goes first
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return data, err
}

// Artifacts lists the files that the attempt which decided a task left.
func (v *View) Artifacts(t *spec.Task) ([]spec.Artifact, error) {
	result, err := v.Result(t)
	return result.Artifacts, err
}

// Artifact returns the bytes of one of them. The error is ErrNotKept when the store does not have them any more.
func (v *View) Artifact(ctx context.Context, a spec.Artifact) ([]byte, error) {
	return v.kept(ctx, a.Stored, artifactBytesMax)
}
