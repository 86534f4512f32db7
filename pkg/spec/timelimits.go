package spec

import (
	"encoding/json"
	"fmt"
	"time"
)

// The keys by which a TaskSpec sets limits of its own, in place of its kind's: durations as text, like "90s" or "2h". The
// original ignores them.
const (
	KeyTimeout      = "timeout"
	KeyStallTimeout = "stall_timeout"
)

// TimeLimits returns the limits that the spec sets, or else the given ones. "0s" is no limit.
func (t TaskSpec) TimeLimits(timeout, stall time.Duration) (_, _ time.Duration, err error) {
	for _, field := range t.Extra {
		switch field.Name {
		case KeyTimeout:
			timeout, err = limitOf(field)
		case KeyStallTimeout:
			stall, err = limitOf(field)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("task %q: %w", t.ID, err)
		}
	}
	return timeout, stall, nil
}

func limitOf(field Field) (time.Duration, error) {
	var text string
	if err := json.Unmarshal(field.Value, &text); err != nil {
		return 0, fmt.Errorf("field %s: %s is not a duration as text, like \"90s\"", field.Name, field.Value)
	}
	limit, err := time.ParseDuration(text)
	if err != nil || limit < 0 {
		return 0, fmt.Errorf("field %s: %q is not a duration, like 90s or 2h", field.Name, text)
	}
	return limit, nil
}
