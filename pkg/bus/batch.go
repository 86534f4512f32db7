package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// BatchEntry is one message of an atomic batch.
type BatchEntry struct {
	Subject string
	Data    []byte
}

// AppendBatch stores all entries or none, and returns the sequence of the last. It expects expectLast to be the
// stream's last sequence (the server checks it once, for the first message). The stream must allow atomic batches. The
// errors are those of Append; the server keeps nothing of a batch whose commit it never saw.
func (s *Stream) AppendBatch(ctx context.Context, expectLast uint64, entries []BatchEntry, timeout time.Duration) (uint64, error) {
	if len(entries) == 0 {
		return expectLast, nil
	}
	id := nuid.Next()
	last := len(entries) - 1
	for i, entry := range entries[:last] {
		message := batchMessage(id, i+1, expectLast, entry)
		if err := s.conn.nc.PublishMsg(message); err != nil {
			return 0, fmt.Errorf("batch to stream %s: %w", s.Name(), notSent(err))
		}
	}
	commit := batchMessage(id, last+1, expectLast, entries[last])
	commit.Header[headerBatchCommit] = []string{"1"}
	seq, err := s.commitBatch(ctx, commit, len(entries), timeout)
	if err != nil {
		return 0, fmt.Errorf("batch to stream %s: %w", s.Name(), err)
	}
	return seq, nil
}

func batchMessage(id string, number int, expectLast uint64, entry BatchEntry) *nats.Msg {
	header := nats.Header{}
	if number == 1 {
		header = ExpectLast(expectLast)
	}
	header[headerBatchID] = []string{id}
	header[headerBatchSequence] = []string{strconv.Itoa(number)}
	return &nats.Msg{Subject: entry.Subject, Header: header, Data: entry.Data}
}

// notSent files an error that came before the commit was sent: nothing is stored.
func notSent(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w: %w", ErrRefused, ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", ErrRefused, whenAway(err))
}

func (s *Stream) commitBatch(ctx context.Context, commit *nats.Msg, count int, timeout time.Duration) (uint64, error) {
	answer, err := s.conn.publishRequest(ctx, commit, timeout)
	if err != nil {
		return 0, err
	}
	seq, err := readPublishAnswer(answer.Data)
	if err != nil {
		return 0, err
	}
	var batch struct {
		Count int `json:"count"`
	}
	if err := json.Unmarshal(answer.Data, &batch); err != nil || batch.Count != count {
		return 0, fmt.Errorf("%w: the server says %q to a batch of %d", ErrAmbiguous, answer.Data, count)
	}
	return seq, nil
}
