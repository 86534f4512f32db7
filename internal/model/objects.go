package model

import (
	"context"
	"fmt"
	"strings"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// objects implements bus.Objects: a blob is one message, whatever its size.
type objects struct {
	c   *Client
	run spec.RunName
	o   bus.StreamOptions
}

// Objects returns a run's part of the object store.
func (c *Client) Objects(run spec.RunName, o bus.StreamOptions) bus.Objects {
	if o.ArtifactsMaxBytes == 0 {
		o.ArtifactsMaxBytes = bus.ArtifactsMaxBytesDefault
	}
	if o.BlobRenewAfter == 0 {
		o.BlobRenewAfter = bus.BlobRenewAfterDefault
	}
	return &objects{c: c, run: run, o: o}
}

var artifactStream = bus.ObjectStream(bus.BucketArtifacts)

func (o *objects) prefix() string { return spec.EncodeName(string(o.run)) + "/" }

// ask is a call that may be made again when no answer comes.
func (o *objects) ask(ctx context.Context, op string, do func() error) (err error) {
	if missed := o.c.link.Call(ctx, op, func() { err = do() }); missed != nil {
		return fmt.Errorf("%s: %w: %w", op, context.DeadlineExceeded, missed)
	}
	return err
}

func (o *objects) Ensure(ctx context.Context) error {
	return o.ask(ctx, "objects.ensure", func() error {
		o.c.server.ensure(artifactStream, stream{newest: true, maxBytes: o.o.ArtifactsMaxBytes})
		return nil
	})
}

func (o *objects) Put(ctx context.Context, data []byte) (spec.Blob, error) {
	blob := spec.BlobOf(data)
	err := o.ask(ctx, "objects.put", func() error { return o.c.server.PutBlob(o.run, data, o.o.BlobRenewAfter) })
	if err != nil {
		return spec.Blob{}, err
	}
	return blob, nil
}

func (o *objects) Get(ctx context.Context, blob spec.Blob, max int64) (data []byte, err error) {
	if blob.Size > max {
		return nil, fmt.Errorf("get blob %s: %w", blob, bus.ErrTooLarge)
	}
	err = o.ask(ctx, "objects.get", func() (err error) {
		data, err = o.c.server.GetBlob(o.run, blob.Digest)
		return err
	})
	if err == nil && !blob.Names(data) {
		err = &bus.DamageError{Form: "blob " + blob.String(), Reason: "its bytes are not those that were put"}
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (o *objects) List(ctx context.Context, fn func(bus.StoredBlob) error) error {
	var found []bus.StoredBlob
	err := o.ask(ctx, "objects.list", func() (err error) {
		found, err = o.c.server.blobs(o.prefix())
		return err
	})
	for _, b := range found {
		if err == nil {
			err = fn(b)
		}
	}
	return err
}

func (o *objects) Delete(ctx context.Context, b bus.StoredBlob) error {
	return o.ask(ctx, "objects.delete", func() error { return o.c.server.removeSeq(artifactStream, b.Revision) })
}

// PutBlob stores a blob of a run, unless it is there and younger than renew.
func (s *Server) PutBlob(run spec.RunName, data []byte, renew time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(artifactStream)
	if err != nil {
		return err
	}
	subject := blobSubject(run, spec.BlobOf(data).Digest)
	if m := st.bySubject[subject]; m != nil && s.Clock().Sub(m.at) < renew {
		return nil
	}
	_, err = s.store(st, subject, data)
	return err
}

// GetBlob returns a blob of a run.
func (s *Server) GetBlob(run spec.RunName, d spec.Digest) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(artifactStream)
	if err != nil {
		return nil, err
	}
	if m := st.bySubject[blobSubject(run, d)]; m != nil {
		return m.data, nil
	}
	return nil, fmt.Errorf("get blob %s: %w", d, bus.ErrNoMessage)
}

func blobSubject(run spec.RunName, d spec.Digest) string {
	return spec.EncodeName(string(run)) + "/" + d.String()
}

// blobs returns the blobs whose subjects begin with prefix, oldest first.
func (s *Server) blobs(prefix string) (found []bus.StoredBlob, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(artifactStream)
	if err != nil {
		return nil, err
	}
	for _, m := range st.messages {
		text, own := strings.CutPrefix(m.subject, prefix)
		if digest, err := spec.ParseDigest(text); own && err == nil {
			blob := spec.Blob{Digest: digest, Size: int64(len(m.data))}
			found = append(found, bus.StoredBlob{Blob: blob, Stored: m.at, Revision: m.seq})
		}
	}
	return found, nil
}
