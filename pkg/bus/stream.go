package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of JetStream that this project sends.
const (
	headerExpectLast        = "Nats-Expected-Last-Sequence"
	headerExpectLastSubject = "Nats-Expected-Last-Subject-Sequence"
	headerBatchID           = "Nats-Batch-Id"
	headerBatchSequence     = "Nats-Batch-Sequence"
	headerBatchCommit       = "Nats-Batch-Commit"
)

// Error codes of JetStream that mean something to this project.
const (
	codeConsumerNotFound  = 10014
	codeMessageNotFound   = 10037
	codeNotEnabledAccount = 10039
	codeStreamNameInUse   = 10058
	codeStreamCreate      = 10049
	codeStreamNotFound    = 10059
	codeWrongLast         = 10071
	codeNotEnabled        = 10076
	codeWrongLastInFlight = 10164 // the same, answered by a replicated stream while another write is under way
)

// ErrNoMessage is the ErrMissing of a message, not of its stream.
var ErrNoMessage = fmt.Errorf("no such message: it %w", ErrMissing)

// APIError is JetStream's refusal of a request.
type APIError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// Error returns the server's description and code.
func (e *APIError) Error() string {
	return fmt.Sprintf("JetStream: %s (%d)", e.Description, e.Code)
}

func isCode(err error, codes ...int) bool {
	var api *APIError
	return errors.As(err, &api) && slices.Contains(codes, api.Code)
}

// request sends a JSON request to a JetStream subject and reads its answer into response, which may be nil. It returns
// *APIError for a refusal.
func (c *Conn) request(ctx context.Context, subject string, body, response any) error {
	ctx, cancel := c.waitContext(ctx, requestTimeout)
	defer cancel()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	answer, err := c.nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return withCause(ctx, err)
	}
	if err := refusal(answer.Data); err != nil {
		return err
	}
	if response == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Data, response); err != nil {
		return fmt.Errorf("read JetStream's answer: %w", err)
	}
	return nil
}

// refusal returns the error that an answer holds, if any. Large answers hold none, and are not read twice.
func refusal(answer []byte) error {
	const refusalSizeMax = 64 << 10
	if len(answer) > refusalSizeMax {
		return nil
	}
	var refused struct {
		Error *APIError `json:"error"`
	}
	if err := json.Unmarshal(answer, &refused); err != nil {
		return fmt.Errorf("read JetStream's answer: %w", err)
	}
	if refused.Error != nil {
		return refused.Error
	}
	return nil
}

// withCause adds why ctx ended when err comes from that.
func withCause(ctx context.Context, err error) error {
	err = whenAway(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// Stream is one JetStream stream and the few operations this project makes on one. Journal, results, mirror and lease
// stand on it. It is safe for concurrent use.
type Stream struct {
	conn   *Conn
	config jetstream.StreamConfig
}

// NewStream returns the stream that config describes; Ensure creates it.
func NewStream(c *Conn, config jetstream.StreamConfig) *Stream {
	return &Stream{conn: c, config: config}
}

// Name returns the stream's name.
func (s *Stream) Name() string { return s.config.Name }

// fail adds the operation and the stream's name to an error, and ErrMissing when the stream does not exist.
func (s *Stream) fail(operation string, err error) error {
	if isCode(err, codeStreamNotFound) {
		return fmt.Errorf("%s stream %s: %w: %w", operation, s.config.Name, ErrMissing, err)
	}
	return fmt.Errorf("%s stream %s: %w", operation, s.config.Name, err)
}

// info asks for the stream's state and configuration.
func (s *Stream) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	var info jetstream.StreamInfo
	if err := s.conn.request(ctx, s.conn.api+"STREAM.INFO."+s.config.Name, nil, &info); err != nil {
		return nil, s.fail("look at", err)
	}
	return &info, nil
}

// Bounds returns the stream's first and last sequence; ErrMissing when it does not exist.
func (s *Stream) Bounds(ctx context.Context) (Bounds, error) {
	info, err := s.info(ctx)
	if err != nil {
		return Bounds{}, err
	}
	bounds := Bounds{First: info.State.FirstSeq, Last: info.State.LastSeq, Bytes: info.State.Bytes, Created: info.Created}
	if info.State.Msgs == 0 {
		bounds.First = bounds.Last + 1
	}
	return bounds, nil
}

// delete removes the stream with all it holds, and reports whether it was there.
func (s *Stream) delete(ctx context.Context) (was bool, err error) {
	if _, err := s.info(ctx); errors.Is(err, ErrMissing) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if err := s.conn.request(ctx, s.conn.api+"STREAM.DELETE."+s.config.Name, nil, nil); err != nil {
		return false, s.fail("delete", err)
	}
	return true, nil
}

// Size returns how many messages the stream holds, and its last sequence; ErrMissing when it does not exist.
func (s *Stream) Size(ctx context.Context) (messages, last uint64, err error) {
	info, err := s.info(ctx)
	if err != nil {
		return 0, 0, err
	}
	return info.State.Msgs, info.State.LastSeq, nil
}

// Purge removes every message below seq.
func (s *Stream) Purge(ctx context.Context, seq uint64) error {
	return s.purge(ctx, map[string]any{"seq": seq})
}

// PurgeSubject removes every message of one subject, or of all that match it.
func (s *Stream) PurgeSubject(ctx context.Context, subject string) error {
	return s.purge(ctx, map[string]any{"filter": subject})
}

// PurgeSubjectBelow removes every message of one subject below seq.
func (s *Stream) PurgeSubjectBelow(ctx context.Context, subject string, seq uint64) error {
	return s.purge(ctx, map[string]any{"filter": subject, "seq": seq})
}

func (s *Stream) purge(ctx context.Context, what map[string]any) error {
	if err := s.conn.request(ctx, s.conn.api+"STREAM.PURGE."+s.config.Name, what, nil); err != nil {
		return s.fail("purge", err)
	}
	return nil
}

// Message is one stored message.
type Message struct {
	Subject string
	Seq     uint64
	Header  nats.Header
	Data    []byte
	Time    time.Time
}

// Get returns the message at seq, read from the stream's leader; ErrNoMessage when there is none.
func (s *Stream) Get(ctx context.Context, seq uint64) (*Message, error) {
	return s.get(ctx, map[string]any{"seq": seq})
}

// GetLast returns the newest message of a subject, read from the stream's leader; ErrNoMessage when there is none.
func (s *Stream) GetLast(ctx context.Context, subject string) (*Message, error) {
	return s.get(ctx, map[string]any{"last_by_subj": subject})
}

// GetNext returns the first message of a subject from seq on, read from the stream's leader; ErrNoMessage when there is
// none.
func (s *Stream) GetNext(ctx context.Context, subject string, seq uint64) (*Message, error) {
	return s.get(ctx, map[string]any{"seq": seq, "next_by_subj": subject})
}

// GetLastDirect is GetLast from any server that keeps the stream, which may be behind. Its request names the subject in its
// own, so that permissions can pin it.
func (s *Stream) GetLastDirect(ctx context.Context, subject string) (*Message, error) {
	ctx, cancel := s.conn.waitContext(ctx, requestTimeout)
	defer cancel()
	m, err := s.conn.nc.RequestWithContext(ctx, s.conn.api+"DIRECT.GET."+s.config.Name+"."+subject, nil)
	if err != nil {
		return nil, s.fail("read", withCause(ctx, err))
	}
	switch status := statusOf(m); status {
	case "":
	case statusNotFound:
		return nil, fmt.Errorf("stream %s: subject %s: %w", s.config.Name, subject, ErrNoMessage)
	default:
		return nil, s.fail("read", fmt.Errorf("the server answered %s %s", status, m.Header.Get("Description")))
	}
	seq, err := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
	if err != nil {
		return nil, s.fail("read the sequence of a message in", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(headerTime))
	if err != nil {
		return nil, s.fail("read the time of a message in", err)
	}
	return &Message{Subject: subject, Seq: seq, Header: m.Header, Data: m.Data, Time: at}, nil
}

// What a direct answer says of the message in its headers.
const (
	headerSequence = "Nats-Sequence"
	headerTime     = "Nats-Time-Stamp"
	statusNotFound = "404"
)

// Subjects calls fn for every subject that matches filter and has a message.
func (s *Stream) Subjects(ctx context.Context, filter string, fn func(subject string) error) error {
	for offset := 0; ; {
		var page struct {
			Total int `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		body := map[string]any{"subjects_filter": filter, "offset": offset}
		if err := s.conn.request(ctx, s.conn.api+"STREAM.INFO."+s.config.Name, body, &page); err != nil {
			return s.fail("list the subjects of", err)
		}
		for subject := range page.State.Subjects {
			if err := fn(subject); err != nil {
				return err
			}
		}
		offset += len(page.State.Subjects)
		if offset >= page.Total || len(page.State.Subjects) == 0 {
			return nil
		}
	}
}

func (s *Stream) get(ctx context.Context, which map[string]any) (*Message, error) {
	var answer struct {
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	err := s.conn.request(ctx, s.conn.api+"STREAM.MSG.GET."+s.config.Name, which, &answer)
	if isCode(err, codeMessageNotFound) {
		return nil, fmt.Errorf("stream %s: %v: %w", s.config.Name, which, ErrNoMessage)
	}
	if err != nil {
		return nil, s.fail("read", err)
	}
	m := &answer.Message
	message := &Message{Subject: m.Subject, Seq: m.Seq, Data: m.Data, Time: m.Time}
	if len(m.Header) > 0 {
		if message.Header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return nil, s.fail("read a header in", err)
		}
	}
	return message, nil
}

// Delete removes the message at seq. It is no error when it is not there any more.
func (s *Stream) Delete(ctx context.Context, seq uint64) error {
	body := map[string]any{"seq": seq, "no_erase": true}
	err := s.conn.request(ctx, s.conn.api+"STREAM.MSG.DELETE."+s.config.Name, body, nil)
	if err == nil {
		return nil
	}
	// The server words the absence of a message in several ways: look.
	if _, absent := s.Get(ctx, seq); errors.Is(absent, ErrNoMessage) {
		return nil
	}
	return s.fail("delete from", err)
}

// ExpectLast makes an Append conditional on the stream's last sequence.
func ExpectLast(seq uint64) nats.Header {
	return nats.Header{headerExpectLast: []string{strconv.FormatUint(seq, 10)}}
}

// ExpectLastOfSubject makes an Append conditional on the last sequence of the message's own subject, 0 for none.
func ExpectLastOfSubject(seq uint64) nats.Header {
	return nats.Header{headerExpectLastSubject: []string{strconv.FormatUint(seq, 10)}}
}

// Append publishes one message and waits at most timeout for the server's word, longer for large data. It returns the sequence it was stored
// at, or ErrConflict, ErrRefused, ErrTooLarge (with ErrRefused), ErrMissing or ErrAmbiguous, wrapped.
func (s *Stream) Append(ctx context.Context, subject string, header nats.Header, data []byte, timeout time.Duration) (uint64, error) {
	seq, err := s.conn.publish(ctx, &nats.Msg{Subject: subject, Header: header, Data: data}, timeout)
	if err != nil {
		return 0, fmt.Errorf("append to stream %s: %w", s.config.Name, err)
	}
	return seq, nil
}

// publishAnswer is the server's answer to a publish into a stream.
type publishAnswer struct {
	Stream string    `json:"stream"`
	Seq    uint64    `json:"seq"`
	Error  *APIError `json:"error"`
}

// publish sends one message into a stream and returns its sequence. Every doubt is ErrAmbiguous.
func (c *Conn) publish(ctx context.Context, m *nats.Msg, timeout time.Duration) (uint64, error) {
	answer, err := c.publishRequest(ctx, m, timeout)
	if err != nil {
		return 0, err
	}
	return readPublishAnswer(answer.Data)
}

func (c *Conn) publishRequest(ctx context.Context, m *nats.Msg, timeout time.Duration) (*nats.Msg, error) {
	ctx, cancel := c.waitContext(ctx, timeout+transferTime(len(m.Data)))
	defer cancel()
	answer, err := c.nc.RequestMsgWithContext(ctx, m)
	if errors.Is(err, nats.ErrMaxPayload) {
		return nil, fmt.Errorf("%w: %w: %d bytes, the server takes %d", ErrRefused, ErrTooLarge, len(m.Data), c.MaxPayload())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAmbiguous, withCause(ctx, err))
	}
	return answer, nil
}

// transferTime is what a large message is granted on top of any timeout: a slow link's time.
func transferTime(size int) time.Duration {
	return time.Duration(size) * time.Second / slowLink
}

// slowLink is the rate of a slow link, in bytes a second.
const slowLink = 4 << 20

func readPublishAnswer(data []byte) (uint64, error) {
	var answer publishAnswer
	if err := json.Unmarshal(data, &answer); err != nil {
		return 0, fmt.Errorf("%w: unreadable answer %q: %w", ErrAmbiguous, data, err)
	}
	switch {
	case answer.Error != nil:
		return 0, explainRefusal(answer.Error)
	case answer.Stream == "" || answer.Seq == 0:
		return 0, fmt.Errorf("%w: answer %q names no sequence", ErrAmbiguous, data)
	}
	return answer.Seq, nil
}

// explainRefusal tells what the server's refusal of a publish means to the caller.
func explainRefusal(refusal *APIError) error {
	switch refusal.Code {
	case codeWrongLast, codeWrongLastInFlight:
		return fmt.Errorf("%w: %w", ErrConflict, refusal)
	case codeStreamNotFound:
		return fmt.Errorf("%w: %w", ErrMissing, refusal)
	}
	return fmt.Errorf("%w: %w", ErrRefused, refusal)
}
