package bus

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"autoresearch/pkg/spec"
)

// The object store is laid out as NATS lays out its own: the chunks of one upload on one subject, and a message with an
// ObjectInfo on another, which completes the upload. The name of an object is <run>/<SHA-256>. An upload's chunks lie at
// $O.<bucket>.C.<run>.<SHA-256>.<random>.<number>: two uploads of the same bytes never mix, and a request for a chunk can
// name it. An upload is called by what matches its chunks, <run>.<SHA-256>.<random>.*, so that NATS's tools find them; one of
// an earlier build has a single subject, without the number.

// chunkSize is how many bytes one message of an upload holds, less where the server takes less.
const chunkSize = 128 << 10

func chunkAllSubject(bucket string) string  { return "$O." + bucket + ".C.>" }
func objectAllSubject(bucket string) string { return "$O." + bucket + ".M.>" }

// objects implements Objects on a stream.
type objects struct {
	conn    *Conn
	stream  *Stream
	run     string // encoded
	bucket  string
	renew   time.Duration
	timeout time.Duration
	worker  bool // see NewWorkerObjects
}

// NewObjects returns a run's part of the object store of large payloads and results.
func NewObjects(c *Conn, run spec.RunName, o StreamOptions) Objects { return newObjects(c, run, o) }

func newObjects(c *Conn, run spec.RunName, o StreamOptions) *objects {
	return &objects{
		conn: c, stream: NewStream(c, artifactsConfig(o)), run: spec.EncodeName(string(run)), bucket: BucketArtifacts,
		renew: o.blobRenewAfter(), timeout: o.appendTimeout(),
	}
}

// NewOutput returns a run's output store: what attempts leave besides their results. It is a store of its own, so that what
// is best effort never takes the room of what is not; the oldest makes room, and goes by age.
func NewOutput(c *Conn, run spec.RunName, o StreamOptions) Objects { return newOutput(c, run, o) }

func newOutput(c *Conn, run spec.RunName, o StreamOptions) *objects {
	return &objects{
		conn: c, stream: NewStream(c, outputConfig(run, o)), run: spec.EncodeName(string(run)), bucket: OutputBucket(run),
		renew: o.blobRenewAfter(), timeout: o.appendTimeout(),
	}
}

// NewWorkerObjects returns a run's part of the object store for a worker, which may get and put. It asks only for what its
// requests name in their subjects, so that permissions can pin the run, and removes nothing: what is left of an upload is the
// leader's to sweep. NewWorkerOutput is the same of the output store.
func NewWorkerObjects(c *Conn, run spec.RunName, o StreamOptions) Objects {
	objects := newObjects(c, run, o)
	objects.worker = true
	return objects
}

// NewWorkerOutput returns a run's output store for a worker.
func NewWorkerOutput(c *Conn, run spec.RunName, o StreamOptions) Objects {
	objects := newOutput(c, run, o)
	objects.worker = true
	return objects
}

func (o *objects) Ensure(ctx context.Context) error {
	_, err := o.stream.Ensure(ctx)
	return err
}

func (o *objects) name(d spec.Digest) string { return o.run + "/" + d.String() }

func (o *objects) objectSubject(d spec.Digest) string {
	return "$O." + o.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(o.name(d)))
}

// newUpload names an upload; chunkSubject is where its chunks lie.
func (o *objects) newUpload(d spec.Digest) string {
	return o.run + "." + d.String() + "." + nuid.Next() + anyChunk
}

func (o *objects) chunkSubject(upload string) string { return "$O." + o.bucket + ".C." + upload }

// nthChunkSubject is where one chunk lies.
func (o *objects) nthChunkSubject(upload string, n int) string {
	return o.chunkSubject(strings.TrimSuffix(upload, anyChunk) + "." + strconv.Itoa(n))
}

// uploadOf names the upload that a chunk's subject belongs to.
func (o *objects) uploadOf(subject string) string {
	upload := strings.TrimPrefix(subject, o.chunkSubject(""))
	if strings.Count(upload, ".") < 3 {
		return upload // of an earlier build
	}
	return upload[:strings.LastIndexByte(upload, '.')] + anyChunk
}

// anyChunk ends an upload's name.
const anyChunk = ".*"

func (o *objects) fail(operation string, d spec.Digest, err error) error {
	return fmt.Errorf("%s blob %s: %w", operation, d, err)
}

// look reads what completes a blob; ErrNoMessage when it is not there.
func (o *objects) look(ctx context.Context, d spec.Digest) (StoredBlob, error) {
	get := o.stream.GetLast
	if o.worker {
		get = o.stream.GetLastDirect
	}
	m, err := get(ctx, o.objectSubject(d))
	if err != nil {
		return StoredBlob{}, err
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return StoredBlob{}, o.damage(spec.Blob{Digest: d}, "what describes it cannot be read: %v", err)
	}
	if info.Deleted { // as the tools of NATS leave it
		return StoredBlob{Revision: m.Seq}, ErrNoMessage
	}
	return StoredBlob{
		Blob: spec.Blob{Digest: d, Size: int64(info.Size)}, Stored: m.Time, Upload: info.NUID, Revision: m.Seq,
	}, nil
}

func (o *objects) Put(ctx context.Context, data []byte) (spec.Blob, error) {
	blob := spec.BlobOf(data)
	have, err := o.look(ctx, blob.Digest)
	switch {
	case err != nil && !errors.Is(err, ErrNoMessage):
		return spec.Blob{}, o.fail("put", blob.Digest, err)
	case err == nil && have.Blob == blob && time.Since(have.Stored) < o.renew:
		return blob, nil
	}
	if err := o.upload(ctx, blob, have, data); err != nil {
		return spec.Blob{}, o.fail("put", blob.Digest, err)
	}
	return blob, nil
}

// upload stores chunks and then what completes them, in place of an older upload if there is one. What fails takes its
// chunks back, as far as it can.
func (o *objects) upload(ctx context.Context, blob spec.Blob, old StoredBlob, data []byte) error {
	upload := o.newUpload(blob.Digest)
	chunks := 0
	for chunk := range slices.Chunk(data, o.chunkSize()) {
		if _, err := o.stream.Append(ctx, o.nthChunkSubject(upload, chunks), nil, chunk, o.timeout); err != nil {
			return errors.Join(err, o.discard(ctx, upload))
		}
		chunks++
	}
	err := o.complete(ctx, blob, old.Revision, upload, chunks)
	switch {
	case errors.Is(err, ErrConflict): // somebody else has put the same bytes meanwhile
		_, gone := o.look(ctx, blob.Digest)
		return errors.Join(gone, o.discard(ctx, upload))
	case errors.Is(err, ErrAmbiguous):
		return err // what completes it may come yet: leave the chunks
	case err != nil:
		return errors.Join(err, o.discard(ctx, upload))
	case old.Upload != "":
		return o.discard(ctx, old.Upload)
	}
	return nil
}

func (o *objects) chunkSize() int { return max(1, min(chunkSize, o.conn.MaxPayload()-AppendOverhead)) }

// complete publishes the ObjectInfo of an upload, unless the object's newest message is another than seq, which it replaces.
func (o *objects) complete(ctx context.Context, blob spec.Blob, seq uint64, upload string, chunks int) error {
	info := jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{
			Name: o.name(blob.Digest), Opts: &jetstream.ObjectMetaOptions{ChunkSize: uint32(o.chunkSize())},
		},
		Bucket: o.bucket, NUID: upload, Size: uint64(blob.Size), Chunks: uint32(chunks),
		Digest: "SHA-256=" + base64.URLEncoding.EncodeToString(blob.Digest[:]),
	}
	data, err := json.Marshal(info)
	if err != nil {
		return err
	}
	subject := o.objectSubject(blob.Digest)
	stored, err := o.stream.Append(ctx, subject, ExpectLastOfSubject(seq), data, o.timeout)
	if err != nil || seq == 0 || o.worker {
		return err
	}
	return o.stream.PurgeSubjectBelow(ctx, subject, stored)
}

// discard removes the chunks of an upload.
func (o *objects) discard(ctx context.Context, upload string) error {
	if o.worker {
		return nil
	}
	return o.stream.PurgeSubject(ctx, o.chunkSubject(upload))
}

func (o *objects) Get(ctx context.Context, blob spec.Blob, max int64) ([]byte, error) {
	if blob.Size > max {
		return nil, o.fail("get", blob.Digest, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrTooLarge, blob.Size, max))
	}
	read := ""
	for {
		have, err := o.find(ctx, blob.Digest)
		if err != nil {
			return nil, o.fail("get", blob.Digest, err)
		}
		data, damaged := o.read(ctx, blob, have)
		switch {
		case damaged == nil:
			return data, nil
		case !isDamage(damaged) || have.Upload == read:
			return nil, o.fail("get", blob.Digest, damaged)
		}
		read = have.Upload // look again: it may have been put anew in the middle of it
	}
}

// find is look for what should be there.
func (o *objects) find(ctx context.Context, d spec.Digest) (have StoredBlob, err error) {
	err = o.patiently(ctx, func() error {
		have, err = o.look(ctx, d)
		return err
	})
	return have, err
}

// patiently gets what should be there: a copy that answers a worker may be behind.
func (o *objects) patiently(ctx context.Context, get func() error) error {
	err := get()
	for tries := 1; o.worker && errors.Is(err, ErrNoMessage) && tries < behindTries; tries++ {
		if gaveUp := pause(ctx, behindWait); gaveUp != nil {
			return errors.Join(err, gaveUp)
		}
		err = get()
	}
	return err
}

// How long a copy of the store may be behind.
const (
	behindTries = 5
	behindWait  = 100 * time.Millisecond
)

func isDamage(err error) bool {
	var damage *DamageError
	return errors.As(err, &damage)
}

// read reads one upload of a blob.
func (o *objects) read(ctx context.Context, blob spec.Blob, have StoredBlob) ([]byte, error) {
	if have.Blob.Size != blob.Size {
		return nil, o.damage(blob, "it has %d bytes where %d were named", have.Blob.Size, blob.Size)
	}
	data, err := o.chunks(ctx, have)
	if err == nil && !blob.Names(data) {
		err = o.damage(blob, "its bytes are not those that were put")
	}
	return data, err
}

func (o *objects) damage(b spec.Blob, format string, args ...any) error {
	return &DamageError{Form: "object " + o.name(b.Digest), Reason: fmt.Sprintf(format, args...)}
}

// chunks reads the bytes of an upload, as many as it says it has.
func (o *objects) chunks(ctx context.Context, b StoredBlob) ([]byte, error) {
	data, next := make([]byte, 0, b.Blob.Size), uint64(1)
	for n := 0; int64(len(data)) < b.Blob.Size; n++ {
		m, err := o.chunk(ctx, b.Upload, n, next)
		if errors.Is(err, ErrNoMessage) {
			return nil, o.damage(b.Blob, "only %d of its %d bytes are there", len(data), b.Blob.Size)
		}
		if err != nil {
			return nil, err
		}
		if len(m.Data) == 0 || int64(len(data)+len(m.Data)) > b.Blob.Size {
			return nil, o.damage(b.Blob, "more bytes are there than it has")
		}
		data, next = append(data, m.Data...), m.Seq+1
	}
	return data, nil
}

// chunk reads the nth chunk of an upload, whose sequence is next at least.
func (o *objects) chunk(ctx context.Context, upload string, n int, next uint64) (m *Message, err error) {
	if !o.worker || !strings.HasSuffix(upload, anyChunk) {
		return o.stream.GetNext(ctx, o.chunkSubject(upload), next)
	}
	err = o.patiently(ctx, func() error {
		m, err = o.stream.GetLastDirect(ctx, o.nthChunkSubject(upload, n))
		return err
	})
	return m, err
}

// List reads uploads before what completes them: an upload that is completed in between is named as complete.
func (o *objects) List(ctx context.Context, fn func(StoredBlob) error) error {
	uploads := map[string]bool{}
	err := o.stream.Subjects(ctx, o.chunkSubject(o.run+".>"), func(subject string) error {
		uploads[o.uploadOf(subject)] = true
		return nil
	})
	if err != nil {
		return err
	}
	err = o.stream.Subjects(ctx, objectAllSubject(o.bucket), func(subject string) error {
		b, err := o.listed(ctx, subject)
		if err != nil || b.Upload == "" {
			return err
		}
		delete(uploads, b.Upload)
		return fn(b)
	})
	if err != nil {
		return err
	}
	for upload := range uploads {
		if err := o.listUnfinished(ctx, upload, fn); err != nil {
			return err
		}
	}
	return nil
}

// listed reads the blob of a subject; a zero StoredBlob when it is another run's, or gone meanwhile.
func (o *objects) listed(ctx context.Context, subject string) (StoredBlob, error) {
	digest, own := o.digestOf(subject)
	if !own {
		return StoredBlob{}, nil
	}
	b, err := o.look(ctx, digest)
	if errors.Is(err, ErrNoMessage) {
		err = nil
	}
	return b, err
}

// digestOf returns the blob that an object's subject names; false when it is not the run's.
func (o *objects) digestOf(subject string) (d spec.Digest, own bool) {
	name, err := base64.URLEncoding.DecodeString(strings.TrimPrefix(subject, "$O."+o.bucket+".M."))
	text, own := strings.CutPrefix(string(name), o.run+"/")
	if err == nil && own {
		d, err = spec.ParseDigest(text)
	}
	return d, err == nil && own
}

func (o *objects) listUnfinished(ctx context.Context, upload string, fn func(StoredBlob) error) error {
	text, _, _ := strings.Cut(strings.TrimPrefix(upload, o.run+"."), ".")
	m, err := o.stream.GetLast(ctx, o.chunkSubject(upload))
	if errors.Is(err, ErrNoMessage) {
		return nil
	}
	var digest spec.Digest
	if err == nil {
		digest, err = spec.ParseDigest(text)
	}
	if err != nil {
		return err
	}
	return fn(StoredBlob{Blob: spec.Blob{Digest: digest}, Stored: m.Time, Unfinished: true, Upload: upload})
}

// Delete removes first what completes a blob, so that nobody finds half of one.
func (o *objects) Delete(ctx context.Context, b StoredBlob) (err error) {
	if b.Unfinished {
		have, err := o.look(ctx, b.Blob.Digest)
		if err == nil && have.Upload == b.Upload {
			return nil // finished since
		}
	} else {
		err = o.stream.PurgeSubjectBelow(ctx, o.objectSubject(b.Blob.Digest), b.Revision+1)
	}
	if err == nil {
		err = o.discard(ctx, b.Upload)
	}
	if err != nil {
		return o.fail("delete", b.Blob.Digest, err)
	}
	return nil
}
