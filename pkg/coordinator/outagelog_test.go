package coordinator

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
)

// steppedClock is a clock that a test moves.
type steppedClock struct{ now time.Time }

func (c *steppedClock) Now() time.Time { return c.now }

func TestOutageIsSaidRarely(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	clock := &steppedClock{now: time.Unix(1_700_000_000, 0)}
	log := slog.New(newOutageLog(slog.NewTextHandler(&text, nil), clock)).With("run", "r")
	away, wrong := fmt.Errorf("look: %w", bus.ErrAmbiguous), fmt.Errorf("look: %w", bus.ErrMissing)
	for range 240 { // four times a second
		log.Warn("renew", "err", away)
		log.Warn("flush", "err", away)
		clock.now = clock.now.Add(250 * time.Millisecond)
	}
	if n := strings.Count(text.String(), "msg=renew"); n != 1 || strings.Count(text.String(), "msg=flush") != 1 {
		t.Errorf("in a minute it was said %d times:\n%s", n, &text)
	}
	log.Warn("renew", "err", away)
	if n := strings.Count(text.String(), "msg=renew"); n != 2 {
		t.Errorf("after a minute it was said %d times", n)
	}
	text.Reset()
	for range 3 {
		log.Warn("renew", "err", wrong)
	}
	if n := strings.Count(text.String(), "msg=renew"); n != 3 {
		t.Errorf("what does not pass was said %d times of 3", n)
	}
}
