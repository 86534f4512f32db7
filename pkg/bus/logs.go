package bus

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"

	"autoresearch/pkg/spec"
)

// logs implements Logs on a stream.
type logs struct {
	conn   *Conn
	stream *Stream
	run    spec.RunName
}

// NewLogs returns what a run's attempts write. It is safe for concurrent use.
func NewLogs(c *Conn, run spec.RunName, o StreamOptions) Logs {
	return &logs{conn: c, stream: NewStream(c, logsConfig(run, o)), run: run}
}

func (l *logs) Ensure(ctx context.Context) error {
	_, err := l.stream.Ensure(ctx)
	return err
}

func (l *logs) Attempts(ctx context.Context, task spec.TaskID) (numbers []uint32, err error) {
	err = l.stream.Subjects(ctx, logTaskSubject(l.run, task), func(subject string) error {
		if _, attempt := logNames(subject); attempt > 0 {
			numbers = append(numbers, attempt)
		}
		return nil
	})
	slices.Sort(numbers)
	return slices.Compact(numbers), err
}

// Read asks for one message after the other: a log is read by a person, and most of them are short.
func (l *logs) Read(
	ctx context.Context, task spec.TaskID, attempt uint32, after uint64, fn func(uint64, spec.WorkerID, *LogMessage) error,
) error {
	subject := logAttemptSubject(l.run, task, attempt)
	for {
		stored, err := l.stream.GetNext(ctx, subject, after+1)
		if errors.Is(err, ErrNoMessage) {
			return nil
		}
		if err != nil {
			return err
		}
		after = stored.Seq
		m, err := DecodeLogMessage(stored.Data)
		if err != nil {
			l.conn.log.Warn("ignored a malformed message", "subject", stored.Subject, "error", err)
			continue
		}
		worker, _ := logNames(stored.Subject)
		if err := fn(stored.Seq, worker, m); err != nil {
			return err
		}
	}
}

func (l *logs) Get(ctx context.Context, seq uint64) (*LogMessage, error) {
	stored, err := l.stream.Get(ctx, seq)
	if err != nil {
		return nil, err
	}
	return DecodeLogMessage(stored.Data)
}

// Watch listens to the messages on their way into the stream.
func (l *logs) Watch(task spec.TaskID, attempt uint32, fn func()) (stop func(), err error) {
	return l.conn.subscribe(logAttemptSubject(l.run, task, attempt), func(*nats.Msg) { fn() })
}

// PublishLog stores a piece of an attempt's output; the errors are those of Stream.Append.
func (c *Conn) PublishLog(ctx context.Context, run spec.RunName, worker spec.WorkerID, task spec.TaskID, attempt uint32, part LogPart, m *LogMessage) error {
	data, err := EncodeLogMessage(m)
	if err != nil {
		return err
	}
	stream := NewStream(c, logsConfig(run, StreamOptions{}))
	_, err = stream.Append(ctx, LogSubject(run, worker, task, attempt, part), nil, data, requestTimeout)
	return err
}
