package spec

import (
	"strings"
	"testing"
	"time"
)

func TestTimeLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"id": "a"}`: "1m0s 2s",
		`{"id": "a", "timeout": "90s", "stall_timeout": "0s"}`: "1m30s 0s",
		`{"id": "a", "timeout": 90}`:                           `task "a": field timeout: 90 is not a duration`,
		`{"id": "a", "stall_timeout": "-1s"}`:                  `task "a": field stall_timeout: "-1s" is not a duration`,
	} {
		task, err := DecodeTaskSpec([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		hard, stall, err := task.TimeLimits(time.Minute, 2*time.Second)
		got := hard.String() + " " + stall.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}
