package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/spec"
)

// StreamOptions say how the streams of this project are made. The zero value of each field means its default.
type StreamOptions struct {
	// Replicas is how many servers keep each stream: 1 by default, 3 in a cluster. For a stream that exists, 0 keeps
	// what it has.
	Replicas int
	// AppendTimeout is how long an append waits for the server's word, AppendTimeoutDefault by default; megabytes are
	// granted more.
	AppendTimeout time.Duration
	// JournalMaxBytes bounds a journal: then appends are refused. No bound by default; for a journal that exists, 0
	// keeps what it has, and so for the others.
	JournalMaxBytes int64
	// ResultsMaxBytes bounds a results stream, ResultsMaxBytesDefault by default: when it is full, workers keep their
	// results and try again.
	ResultsMaxBytes int64
	// TasksMaxBytes bounds the doorbell, TasksMaxBytesDefault by default. It lies in the server's memory.
	TasksMaxBytes int64
	// ArtifactsMaxBytes bounds the object store of all runs' large payloads and results, ArtifactsMaxBytesDefault by
	// default: when it is full, tasks that would need it are refused. Journals name what lies there, so it has no bound of
	// age: leaders remove what no task names.
	ArtifactsMaxBytes int64
	// RejectedMaxBytes, RejectedMaxMessages and RejectedMaxAge bound what is kept of rejected results, by default
	// RejectedMaxBytesDefault, RejectedMaxMessagesDefault and RejectedMaxAgeDefault: the oldest go first.
	RejectedMaxBytes    int64
	RejectedMaxMessages int64
	RejectedMaxAge      time.Duration
	// OutputMaxBytes and OutputMaxAge bound what is kept of the output of a run's attempts, OutputMaxBytesDefault and
	// OutputMaxAgeDefault by default: the oldest goes first.
	OutputMaxBytes int64
	OutputMaxAge   time.Duration
	// LogsMaxBytes and LogsMaxAge bound what is kept of what a run's attempts write, LogsMaxBytesDefault and
	// LogsMaxAgeDefault by default: the oldest goes first.
	LogsMaxBytes int64
	LogsMaxAge   time.Duration
	// BlobRenewAfter is how old a blob in the object store may be before a Put of the same bytes makes it new,
	// BlobRenewAfterDefault by default. Whoever removes blobs that nobody names must leave younger ones alone.
	BlobRenewAfter time.Duration
}

// Defaults of StreamOptions.
const (
	AppendTimeoutDefault   = 2 * time.Second
	ResultsMaxBytesDefault = 256 << 20
	TasksMaxBytesDefault   = 256 << 20

	RejectedMaxBytesDefault    = 64 << 20
	RejectedMaxMessagesDefault = 10_000
	RejectedMaxAgeDefault      = 30 * 24 * time.Hour

	OutputMaxBytesDefault = 4 << 30
	OutputMaxAgeDefault   = 90 * 24 * time.Hour

	LogsMaxBytesDefault = 1 << 30
	LogsMaxAgeDefault   = 30 * 24 * time.Hour

	ArtifactsMaxBytesDefault = 1 << 30
	BlobRenewAfterDefault    = time.Hour
)

func (o StreamOptions) blobRenewAfter() time.Duration {
	if o.BlobRenewAfter > 0 {
		return o.BlobRenewAfter
	}
	return BlobRenewAfterDefault
}

func (o StreamOptions) appendTimeout() time.Duration {
	if o.AppendTimeout > 0 {
		return o.AppendTimeout
	}
	return AppendTimeoutDefault
}

// journalConfig: a log of one subject that loses records by Purge only, read from its leader.
func journalConfig(run spec.RunName, o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        JournalStream(run),
		Description: "autoresearch: the journal of run " + printable(run),
		Subjects:    []string{JournalSubject(run)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    o.JournalMaxBytes,
		DenyDelete:  true,
		Replicas:    o.Replicas,
	}
}

// resultsConfig: results on their way. A full stream refuses; it never drops what nobody has read.
func resultsConfig(run spec.RunName, o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        ResultsStream(run),
		Description: "autoresearch: results on their way, run " + printable(run),
		Subjects:    []string{ResultRunSubject(run)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    o.ResultsMaxBytes,
		Replicas:    o.Replicas,
	}
}

// tasksConfig: the doorbell of all runs. One message a subject, a second one is refused.
func tasksConfig(o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:                 StreamTasks,
		Description:          "autoresearch: dispatched tasks that nobody has picked up yet",
		Subjects:             []string{TaskAllSubject},
		Retention:            jetstream.WorkQueuePolicy,
		Storage:              jetstream.MemoryStorage,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    1,
		MaxBytes:             o.TasksMaxBytes,
		Replicas:             o.Replicas,
	}
}

// artifactsConfig: an object store as NATS lays it out, so that its own tools read it. A full one refuses. It takes no
// rollups: with them whoever may put one object could remove all.
func artifactsConfig(o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        ObjectStream(BucketArtifacts),
		Description: "autoresearch: payloads and results too large for a message, by their SHA-256",
		Subjects:    []string{chunkAllSubject(BucketArtifacts), objectAllSubject(BucketArtifacts)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
		MaxBytes:    o.ArtifactsMaxBytes,
		Replicas:    o.Replicas,
	}
}

// outputConfig: an object store like that of artifactsConfig, of which the oldest goes. Its age and size are the run's.
func outputConfig(run spec.RunName, o StreamOptions) jetstream.StreamConfig {
	bucket := OutputBucket(run)
	return jetstream.StreamConfig{
		Name:        ObjectStream(bucket),
		Description: "autoresearch: what attempts left besides their results, run " + printable(run),
		Subjects:    []string{chunkAllSubject(bucket), objectAllSubject(bucket)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		AllowDirect: true,
		MaxBytes:    o.OutputMaxBytes,
		MaxAge:      cmp.Or(o.OutputMaxAge, OutputMaxAgeDefault),
		Replicas:    o.Replicas,
	}
}

// logMessagesMax is how many messages of each part of an attempt's output are kept: the newest.
const logMessagesMax = 4000

// logsConfig: for people. Of too much the oldest goes, of each attempt and of all. It is written to disk behind the
// acknowledgements, so that the journal's syncs need not wait for those of logs.
func logsConfig(run spec.RunName, o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              LogsStream(run),
		Description:       "autoresearch: what attempts write, run " + printable(run),
		Subjects:          []string{logRunSubject(run)},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: logMessagesMax,
		PersistMode:       jetstream.AsyncPersistMode,
		MaxBytes:          o.LogsMaxBytes,
		MaxAge:            cmp.Or(o.LogsMaxAge, LogsMaxAgeDefault),
		Replicas:          o.Replicas,
	}
}

// rejectedConfig: evidence, not truth. Of too much the oldest goes.
func rejectedConfig(run spec.RunName, o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        RejectedStream(run),
		Description: "autoresearch: what was rejected, run " + printable(run),
		Subjects:    []string{RejectedSubject(run)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxBytes:    o.RejectedMaxBytes,
		MaxMsgs:     cmp.Or(o.RejectedMaxMessages, RejectedMaxMessagesDefault),
		MaxAge:      cmp.Or(o.RejectedMaxAge, RejectedMaxAgeDefault),
		Replicas:    o.Replicas,
	}
}

// How a class's consumer behaves. Its acks mean nothing to the engine: AckWait only sets how soon a message that a
// worker took and never acked is offered again.
const (
	tasksAckWait       = 10 * time.Second
	tasksAckPendingMax = 100_000
	tasksWaitingMax    = 50_000
)

func classConsumer(class string) jetstream.ConsumerConfig {
	name := ClassConsumer(class)
	return jetstream.ConsumerConfig{
		Name:          name,
		Durable:       name,
		Description:   "autoresearch: workers of class " + printable(class),
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       tasksAckWait,
		MaxDeliver:    -1,
		MaxAckPending: tasksAckPendingMax,
		MaxWaiting:    tasksWaitingMax,
		FilterSubject: TaskClassSubject(class),
		MemoryStorage: true,
	}
}

// ClassConsumer names the consumer that the workers of a class share.
func ClassConsumer(class string) string { return spec.EncodeName(class) }

// printable keeps odd names readable in descriptions.
func printable[T ~string](name T) string { return fmt.Sprintf("%.100q", string(name)) }

// Ensure creates the stream unless it exists and reports whether it did (of several callers at the same moment, more
// than one may think so). A stream that exists with another
// configuration is adapted where that loses nothing; else the error says what differs.
func (s *Stream) Ensure(ctx context.Context) (created bool, err error) {
	for range ensureTries {
		info, err := s.info(ctx)
		if err == nil {
			return false, s.adapt(ctx, info.Config)
		}
		if !errors.Is(err, ErrMissing) {
			return false, err
		}
		err = s.create(ctx)
		if err == nil {
			return true, nil
		}
		// Another coordinator may have created it meanwhile; and right after the account's last stream was deleted, a
		// create can fail at random.
		if !isCode(err, codeStreamNameInUse, codeStreamCreate) {
			return false, s.fail("create", err)
		}
		if err := pause(ctx, ensureWait); err != nil {
			return false, s.fail("create", err)
		}
	}
	return false, s.fail("create", s.create(ctx))
}

const (
	ensureTries = 3
	ensureWait  = 50 * time.Millisecond
)

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// create creates the stream, and then updates it. A server that is killed in the middle of a create leaves a folder with
// the configuration and without its checksum. It passes over that folder when it starts again, and a create over it
// works, but does not write the checksum either: the next start would pass over the stream with all it holds by then. An
// update writes both files.
func (s *Stream) create(ctx context.Context) error {
	config := s.config
	config.Replicas = cmp.Or(config.Replicas, 1)
	config.MaxBytes = cmp.Or(config.MaxBytes, maxBytesDefault(config.Name))
	first := config
	if config.Storage == jetstream.FileStorage {
		first.Description = "" // so that the update has something to write
	}
	if err := s.conn.request(ctx, s.conn.api+"STREAM.CREATE."+config.Name, first, nil); err != nil {
		return err
	}
	if first.Description == config.Description {
		return nil
	}
	return s.conn.request(ctx, s.conn.api+"STREAM.UPDATE."+config.Name, config, nil)
}

// maxBytesDefault bounds a new stream for which the options name no bound.
func maxBytesDefault(name string) int64 {
	switch {
	case name == StreamTasks:
		return TasksMaxBytesDefault
	case name == ObjectStream(BucketArtifacts):
		return ArtifactsMaxBytesDefault
	case strings.HasPrefix(name, ObjectStream(BucketOutputPrefix)):
		return OutputMaxBytesDefault
	case strings.HasPrefix(name, StreamLogsPrefix):
		return LogsMaxBytesDefault
	case strings.HasPrefix(name, StreamResultsPrefix):
		return ResultsMaxBytesDefault
	case strings.HasPrefix(name, StreamRejectedPrefix):
		return RejectedMaxBytesDefault
	}
	return -1
}

// adapt updates a stream that exists, or says what cannot be updated.
func (s *Stream) adapt(ctx context.Context, have jetstream.StreamConfig) error {
	want := s.config
	switch {
	case !slices.Equal(have.Subjects, want.Subjects):
		return s.differs("subjects", have.Subjects, want.Subjects)
	case have.Storage != want.Storage:
		return s.differs("storage", have.Storage, want.Storage)
	case have.Retention != want.Retention:
		return s.differs("retention", have.Retention, want.Retention)
	case have.Sealed:
		return s.differs("sealed", true, false)
	case have.DenyPurge:
		return s.differs("deny_purge", true, false)
	case have.DenyDelete && !want.DenyDelete:
		return s.differs("deny_delete", true, false)
	}
	merged := merge(have, want)
	if !changed(have, merged) {
		return nil
	}
	if err := s.conn.request(ctx, s.conn.api+"STREAM.UPDATE."+have.Name, merged, nil); err != nil {
		return s.fail("update the configuration of", err)
	}
	s.conn.log.Warn("updated the configuration of a stream", "stream", have.Name)
	return nil
}

func (s *Stream) differs(field string, have, want any) error {
	return fmt.Errorf("stream %s exists with %s %v where this needs %v: it belongs to something else, or was changed by hand; "+
		"rename the run or remove the stream", s.config.Name, field, have, want)
}

// merge returns what an existing stream's configuration becomes: ours where we own a field, its own elsewhere.
func merge(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	merged := have
	merged.Discard = want.Discard
	merged.DiscardNewPerSubject = want.DiscardNewPerSubject
	merged.MaxMsgs = unbounded(want.MaxMsgs)
	merged.MaxAge = want.MaxAge
	if want.MaxAge > 0 && (merged.Duplicates == 0 || merged.Duplicates > want.MaxAge) {
		merged.Duplicates = want.MaxAge
	}
	merged.MaxMsgsPerSubject = unbounded(want.MaxMsgsPerSubject)
	merged.AllowDirect = want.AllowDirect
	merged.AllowRollup = want.AllowRollup
	merged.AllowAtomicPublish = want.AllowAtomicPublish
	merged.DenyDelete = want.DenyDelete
	if want.Replicas != 0 {
		merged.Replicas = want.Replicas
	}
	if want.MaxBytes != 0 {
		merged.MaxBytes = want.MaxBytes
	}
	return merged
}

// unbounded is a limit in the server's spelling.
func unbounded(limit int64) int64 {
	if limit == 0 {
		return -1
	}
	return limit
}

func changed(have, merged jetstream.StreamConfig) bool {
	return have.Discard != merged.Discard || have.DiscardNewPerSubject != merged.DiscardNewPerSubject ||
		have.MaxMsgs != merged.MaxMsgs || have.MaxAge != merged.MaxAge ||
		have.MaxMsgsPerSubject != merged.MaxMsgsPerSubject || have.AllowDirect != merged.AllowDirect ||
		have.AllowRollup != merged.AllowRollup || have.AllowAtomicPublish != merged.AllowAtomicPublish || have.DenyDelete != merged.DenyDelete ||
		have.Replicas != merged.Replicas || have.MaxBytes != merged.MaxBytes
}

// ensureConsumer creates a durable consumer, or updates the one there is.
func (s *Stream) ensureConsumer(ctx context.Context, config jetstream.ConsumerConfig) error {
	body := map[string]any{"stream_name": s.config.Name, "config": config}
	subject := s.conn.api + "CONSUMER.CREATE." + s.config.Name + "." + config.Name
	if config.FilterSubject != "" {
		subject += "." + config.FilterSubject
	}
	if err := s.conn.request(ctx, subject, body, nil); err != nil {
		return s.fail("create consumer "+config.Name+" of", err)
	}
	return nil
}

// deleteConsumer deletes a consumer. It is no error when there is none.
func (s *Stream) deleteConsumer(ctx context.Context, name string) error {
	err := s.conn.request(ctx, s.conn.api+"CONSUMER.DELETE."+s.config.Name+"."+name, nil, nil)
	if err != nil && !isCode(err, codeConsumerNotFound) {
		return s.fail("delete consumer "+name+" of", err)
	}
	return nil
}
