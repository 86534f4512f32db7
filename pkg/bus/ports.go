package bus

import (
	"context"
	"errors"
	"time"

	"autoresearch/pkg/spec"
)

// What callers branch on.
var (
	// ErrConflict: another writer's record stands where this append was to go. The caller's state is stale for good.
	ErrConflict = errors.New("another writer appended first")
	// ErrAmbiguous: the append may or may not be stored (timeout, no responders, disconnect). Only the same bytes with
	// the same expected sequence may be sent again.
	ErrAmbiguous = errors.New("append may or may not be stored")
	// ErrRefused: the server answered that it did not store the append (stream full, disk full, not permitted).
	// Nothing was stored; it may be tried again later.
	ErrRefused = errors.New("append refused")
	// ErrMissing: the stream or bucket does not exist.
	ErrMissing = errors.New("does not exist")
	// ErrGap: a reader met a missing sequence; reload.
	ErrGap = errors.New("a gap in the sequences")
)

// Bounds are the first and last sequence of a stream, its size as it is stored, and its creation time. An empty stream has
// Last == First-1.
type Bounds struct {
	First, Last uint64
	Bytes       uint64
	Created     time.Time
}

// Journal is a run's journal stream. Only one Append may be in flight. The simulator implements it too: everything the
// coordinator knows of the server's behaviour is in these contracts.
type Journal interface {
	// Ensure creates the stream unless it exists and reports whether it did. Called only when nothing says that the
	// run existed before.
	Ensure(ctx context.Context) (created bool, err error)
	// Bounds returns ErrMissing when there is no stream.
	Bounds(ctx context.Context) (Bounds, error)
	// Append stores data as sequence expectLast+1 and returns once it is durable by the stream's sync setting, or
	// returns ErrConflict, ErrRefused, ErrMissing or ErrAmbiguous (wrapped). It keeps nothing of data, not even for an append that
	// is ambiguous.
	Append(ctx context.Context, expectLast uint64, data []byte) error
	// Get returns the record at seq, read from the stream's leader; ErrMissing when there is none.
	Get(ctx context.Context, seq uint64) ([]byte, error)
	// Read calls fn for every record from sequence from up to the last one stored when Read was called, in order.
	// It returns ErrGap when a sequence is missing. data is valid during the call only.
	Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error
	// Purge removes every record below seq.
	Purge(ctx context.Context, seq uint64) error
}

// Results is a run's results stream, read by one leader.
type Results interface {
	// Ensure creates the stream unless it exists.
	Ensure(ctx context.Context) error
	Bounds(ctx context.Context) (Bounds, error)
	// Consume calls fn in order for every message after sequence after, from one goroutine, until stop is called (which
	// waits for fn to return) or the stream fails; failed is then called once with the reason. fn may block: that is
	// the back pressure. from is the worker by whose subject it came.
	Consume(ctx context.Context, after uint64, fn func(seq uint64, from spec.WorkerID, data []byte), failed func(error)) (
		stop func(), err error)
	// Purge removes every message up to and including seq.
	Purge(ctx context.Context, seq uint64) error
}

// Doorbell publishes dispatched tasks. Its only retry is the leader's own: what is overdue is published again.
type Doorbell interface {
	// Ensure creates the stream and the consumer of each class where they are missing. It reports whether the stream was:
	// then what was published and not picked up is gone.
	Ensure(ctx context.Context, classes []string) (created bool, err error)
	// Renew makes the consumer of a class anew, where one delivers nothing although there is something. Workers that have
	// the class's tasks keep them.
	Renew(ctx context.Context, class string) error
	// Publish sends dispatches of one run and class as one message, without waiting. A message of one that is there already
	// (10071) is success. Other errors go to the function given at construction; with more, which says that another publish
	// follows at once, perhaps to that one only. Nothing of ds is kept: it is the caller's again.
	Publish(ds []*Dispatch, more bool) error
	// Purge removes an attempt's message if it is still there; not from among several.
	Purge(ctx context.Context, class string, run spec.RunName, task spec.TaskID, attempt uint32) error
}

// Uplinks connects a leader with the workers over core NATS.
type Uplinks interface {
	// Listen calls fn for every Uplink of every worker, from one goroutine, until stop is called. from is the worker by
	// whose subject it came: IsFrom tells whether it may be the one that the message names.
	Listen(fn func(from spec.WorkerID, u Uplink)) (stop func(), err error)
	// Answer sends a to one worker; Hello sends it to all. Neither keeps anything of it.
	Answer(worker spec.WorkerID, a Answer) error
	Hello(a Answer) error
	// Tell tells every leader what a run wants; ListenDemands calls fn for all that is told, its own too, from one goroutine,
	// until stop is called.
	Tell(d Demand) error
	ListenDemands(fn func(Demand)) (stop func(), err error)
	// Lead answers pings on the run's lead subject until stop is called. Ping asks whether anyone does: nil, or
	// ErrNoLeader at once when nobody listens.
	Lead(run spec.RunName) (stop func(), err error)
	Ping(ctx context.Context, run spec.RunName) error
	// RTT measures a round trip to the server: the leader's evidence that it hears NATS.
	RTT(ctx context.Context) (time.Duration, error)
}

// Objects is a run's part of the object store: blobs named by their content. Everything in it was put whole: a blob is
// there once Put has returned, and what Get returns are the bytes that were put. It is safe for concurrent use.
type Objects interface {
	// Ensure creates the bucket, which all runs share, unless it exists.
	Ensure(ctx context.Context) error
	// Put stores data and returns its name once it is durable. What is there already is not stored again, unless that was
	// longer ago than StreamOptions.BlobRenewAfter: then its age begins anew. It returns ErrMissing without a bucket,
	// ErrRefused when the bucket is full; on any error but ErrRefused it may be tried again.
	Put(ctx context.Context, data []byte) (spec.Blob, error)
	// Get returns the bytes that blob names: ErrTooLarge, before anything is read, when they are more than max;
	// ErrMissing when they are not there; a *DamageError when they are others.
	Get(ctx context.Context, blob spec.Blob, max int64) ([]byte, error)
	// List calls fn for every blob of the run that is there when List is called, and for what uploads left unfinished.
	List(ctx context.Context, fn func(StoredBlob) error) error
	// Delete removes what List named, unless it was stored again since. It is no error when it is not there any more.
	Delete(ctx context.Context, b StoredBlob) error
}

// Logs is what a run's attempts write to standard output and error, as their workers publish it. Losing any of it does no
// harm.
type Logs interface {
	// Ensure creates the stream unless it exists.
	Ensure(ctx context.Context) error
	// Attempts returns the numbers of a task's attempts of which there is any output, in order. It returns ErrMissing when
	// there is no stream, and so does Read.
	Attempts(ctx context.Context, task spec.TaskID) ([]uint32, error)
	// Read calls fn for the messages of an attempt after sequence after, in order, until there is none or fn returns an
	// error, which it then returns.
	Read(ctx context.Context, task spec.TaskID, attempt uint32, after uint64, fn func(seq uint64, worker spec.WorkerID, m *LogMessage) error) error
	// Get returns one message; ErrMissing when it is not there any more.
	Get(ctx context.Context, seq uint64) (*LogMessage, error)
	// Watch calls fn when there may be more of an attempt to read, until stop is called. A call may be missing.
	Watch(task spec.TaskID, attempt uint32, fn func()) (stop func(), err error)
}

// StoredBlob is one blob as it lies in the object store.
type StoredBlob struct {
	Blob   spec.Blob // Size is 0 for an unfinished upload
	Stored time.Time // by the server's clock
	// Unfinished says that an upload is under way, or was never finished.
	Unfinished bool
	// Upload and Revision are the store's own: they tell this upload from others of the same bytes.
	Upload   string
	Revision uint64
}

// Rejects keeps what was rejected for people to look at. Losing any of it does no harm.
type Rejects interface {
	// Put keeps one rejection, creating the stream when it is the run's first. The oldest make room.
	Put(ctx context.Context, r *Rejected) error
	// List calls fn for every rejection that is kept, oldest first, with its number. It returns ErrMissing when nothing
	// was ever rejected.
	List(ctx context.Context, fn func(number uint64, r *Rejected) error) error
	// Get returns one rejection; ErrMissing when it is not kept, or not any more.
	Get(ctx context.Context, number uint64) (*Rejected, error)
}

// ErrNoLeader: a ping met no responder.
var ErrNoLeader = errors.New("nobody leads the run")
