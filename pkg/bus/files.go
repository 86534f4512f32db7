package bus

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/spec"
)

// Files keeps, for each run, one archive of its workdir's files in an object store, so that they can be had wherever the
// run was led. It is a copy for people: nothing is recovered from it. It is safe for concurrent use.
type Files struct {
	conn *Conn
	o    StreamOptions
}

// FilesMaxBytesDefault bounds the archives of all runs.
const FilesMaxBytesDefault = 1 << 30

// NewFiles returns the store of workdirs.
func NewFiles(c *Conn, o StreamOptions) *Files { return &Files{conn: c, o: o} }

// Put replaces a run's archive by what r holds, making the store if there is none.
func (f *Files) Put(ctx context.Context, run spec.RunName, r io.Reader) error {
	js, err := jetstream.New(f.conn.NATS())
	if err != nil {
		return f.fail("keep", run, err)
	}
	store, err := js.ObjectStore(ctx, BucketFiles)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: BucketFiles, Description: "autoresearch: the workdirs of runs, as tar.gz", Storage: jetstream.FileStorage,
			MaxBytes: FilesMaxBytesDefault, Replicas: max(1, f.o.Replicas),
		})
	}
	if err == nil {
		_, err = store.Put(ctx, jetstream.ObjectMeta{Name: spec.EncodeName(string(run))}, r)
	}
	return f.fail("keep", run, err)
}

// Get returns a run's archive, which the caller must close; ErrMissing when none was kept. ctx must last until it is read.
func (f *Files) Get(ctx context.Context, run spec.RunName) (io.ReadCloser, error) {
	js, err := jetstream.New(f.conn.NATS())
	if err != nil {
		return nil, f.fail("read", run, err)
	}
	store, err := js.ObjectStore(ctx, BucketFiles)
	if err != nil {
		return nil, f.fail("read", run, err)
	}
	result, err := store.Get(ctx, spec.EncodeName(string(run)))
	if err != nil {
		return nil, f.fail("read", run, err)
	}
	return archive{result}, nil
}

// archive tells of a read that failed in the middle, also at its end.
type archive struct{ jetstream.ObjectResult }

func (a archive) Read(p []byte) (int, error) {
	n, err := a.ObjectResult.Read(p)
	if errors.Is(err, io.EOF) {
		if failed := a.Error(); failed != nil {
			return n, failed
		}
	}
	return n, err
}

// Delete removes a run's archive. It is no error when there is none.
func (f *Files) Delete(ctx context.Context, run spec.RunName) error {
	js, err := jetstream.New(f.conn.NATS())
	if err != nil {
		return f.fail("remove", run, err)
	}
	store, err := js.ObjectStore(ctx, BucketFiles)
	if err == nil {
		err = store.Delete(ctx, spec.EncodeName(string(run)))
	}
	if err = f.fail("remove", run, err); errors.Is(err, ErrMissing) {
		return nil
	}
	return err
}

func (f *Files) fail(doing string, run spec.RunName, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrBucketNotFound), errors.Is(err, jetstream.ErrObjectNotFound):
		return fmt.Errorf("%s the files of run %q: it %w", doing, run, ErrMissing)
	}
	return fmt.Errorf("%s the files of run %q: %w", doing, run, err)
}
