package bus_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
)

// copies is a server with a replicated stream of so many messages. Each new consumer reads one of its copies, of which
// some end early, as those of servers do that have just come back. Of NATS it speaks what the reader needs.
type copies struct {
	t      *testing.T
	conn   net.Conn
	leader uint64            // the last message, as the stream's leader has it
	subs   map[string]string // subject without its wildcard to number
	copies []uint64          // where the copy of each next consumer ends; the last is that of all others too
	copy   uint64            // that of the newest consumer
	start  uint64            // where the newest consumer begins
}

// startCopies starts such a server and returns a connection to it.
func startCopies(t *testing.T, leader uint64, ends ...uint64) *bus.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		c := &copies{t: t, conn: conn, leader: leader, copies: ends, subs: map[string]string{}}
		c.send("INFO {\"server_id\":\"copies\",\"version\":\"%s\",\"headers\":true,\"max_payload\":1048576,\"proto\":1}", bus.ServerVersionMin)
		for input := textproto.NewReader(bufio.NewReader(conn)); err == nil; {
			err = c.serve(input)
		}
		_ = conn.Close() // the client did too
	}()
	t.Cleanup(func() {
		<-ended
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	return connect(t, bus.Options{URL: "nats://" + listener.Addr().String()})
}

// send sends one line to the client, which may have left.
func (c *copies) send(format string, args ...any) { _, _ = fmt.Fprintf(c.conn, format+"\r\n", args...) }

// serve takes one line of the client's.
func (c *copies) serve(input *textproto.Reader) error {
	line, err := input.ReadLine()
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	switch words[0] {
	case "PING":
		c.send("PONG")
	case "SUB":
		c.subs[strings.TrimSuffix(words[1], "*")] = words[len(words)-1]
	case "PUB":
		body, err := input.ReadLine() // JSON in one line
		if err != nil {
			return err
		}
		c.answer(words[1], words[len(words)-2], body)
	}
	return nil
}

// answer answers one request to JetStream.
func (c *copies) answer(subject, reply, text string) {
	var body struct {
		Seq    uint64 `json:"seq"`
		Config struct {
			Start uint64 `json:"opt_start_seq"`
		} `json:"config"`
	}
	if err := json.Unmarshal([]byte(cmp.Or(text, "{}")), &body); err != nil {
		c.t.Error(err)
	}
	switch parts := strings.Split(subject+".", "."); parts[2] + " " + parts[3] {
	case "STREAM INFO":
		c.respond(reply, "", `{"created": "2026-01-01T00:00:00Z", "state": {"messages": %d, "first_seq": 1, "last_seq": %d}}`, c.leader, c.leader)
	case "STREAM MSG":
		if body.Seq > c.leader {
			c.respond(reply, "", `{"error": {"code": 404, "err_code": 10037, "description": "no message found"}}`)
			return
		}
		c.respond(reply, "", `{"message": {"subject": "s", "seq": %d, "time": "2026-01-01T00:00:00Z"}}`, body.Seq)
	case "CONSUMER CREATE":
		c.copy = c.copies[0]
		c.copies = c.copies[min(1, len(c.copies)-1):]
		c.start = min(body.Config.Start, c.copy+1)
		c.respond(reply, "", `{"num_pending": %d}`, c.copy+1-c.start)
	case "CONSUMER MSG":
		for seq := c.start; seq <= c.copy; seq++ {
			c.respond(reply, fmt.Sprintf("$JS.ACK.s.c.1.%d.%d.1.%d", seq, seq+1-c.start, c.copy-seq), "x")
		}
	case "INFO ":
		c.respond(reply, "", "{}")
	}
}

// respond sends a message to an inbox.
func (c *copies) respond(inbox, reply, format string, args ...any) {
	sub := c.subs[inbox]
	if sub == "" {
		sub = c.subs[inbox[:strings.LastIndexByte(inbox, '.')+1]]
	}
	body := fmt.Sprintf(format, args...)
	c.send("MSG %s %s %s %d\r\n%s", inbox, sub, reply, len(body), body)
}

// TestReadFromCopies reads a journal whose consumers get copies that end before it does: what they lack is no gap, and
// what they have twice is read once. A message that the leader does not have either is one.
func TestReadFromCopies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		from, last uint64
		copies     []uint64
	}{
		{"all are equal", 1, 5, []uint64{5}},
		{"one has not got the end", 1, 5, []uint64{4, 4, 5}},
		{"one has nothing", 1, 5, []uint64{0, 5}},
		{"one ends before the first that is wanted", 4, 6, []uint64{2, 6}},
		{"one grows while it is read", 1, 6, []uint64{2, 1, 4, 6}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := bus.NewJournal(startCopies(t, tc.last, tc.copies...), "r", bus.StreamOptions{})
			var got, want []uint64
			for seq := tc.from; seq <= tc.last; seq++ {
				want = append(want, seq)
			}
			err := j.Read(t.Context(), tc.from, func(seq uint64, _ []byte) error { got = append(got, seq); return nil })
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("read %v, error %v; want %v", got, err, want)
			}
		})
	}
}

// TestReadFromCopiesThatStayBehind checks that a read that finds no whole copy ends as something that passes, not as a gap.
func TestReadFromCopiesThatStayBehind(t *testing.T) {
	t.Parallel()
	j := bus.NewJournal(startCopies(t, 5, 4), "r", bus.StreamOptions{})
	err := j.Read(t.Context(), 1, func(uint64, []byte) error { return nil })
	if errors.Is(err, bus.ErrGap) || !bus.Passing(err) {
		t.Errorf("error %v", err)
	}
}
