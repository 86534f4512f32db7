package bus

import (
	"context"
	"errors"

	"autoresearch/pkg/spec"
)

// DeleteRun removes every stream that holds something of one run only, and its part of what runs share. Nobody may lead
// the run. It is idempotent.
func (c *Conn) DeleteRun(ctx context.Context, run spec.RunName, o StreamOptions) error {
	if err := c.deleteBlobs(ctx, run, o); err != nil {
		return err
	}
	if err := NewFiles(c, o).Delete(ctx, run); err != nil {
		return err
	}
	// The journal goes last: while there is one, the run is known to have been.
	for _, name := range []string{
		ResultsStream(run), RejectedStream(run), LogsStream(run), ObjectStream(OutputBucket(run)), "KV_" + StateBucket(run), JournalStream(run),
	} {
		err := c.request(ctx, c.api+"STREAM.DELETE."+name, nil, nil)
		if err != nil && !isCode(err, codeStreamNotFound) {
			return err
		}
	}
	return nil
}

func (c *Conn) deleteBlobs(ctx context.Context, run spec.RunName, o StreamOptions) error {
	objects := NewObjects(c, run, o)
	var found []StoredBlob
	err := objects.List(ctx, func(b StoredBlob) error { found = append(found, b); return nil })
	if errors.Is(err, ErrMissing) {
		return nil
	}
	for _, b := range found {
		err = errors.Join(err, objects.Delete(ctx, b))
	}
	return err
}
