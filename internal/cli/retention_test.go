package cli

import (
	"testing"
	"time"

	"github.com/spf13/pflag"

	"autoresearch/pkg/bus"
)

func TestRetentionFlags(t *testing.T) {
	t.Parallel()
	parse := func(args ...string) (bus.StreamOptions, time.Duration, error) {
		var f RetentionFlags
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		f.Add(fs)
		if err := fs.Parse(args); err != nil {
			return bus.StreamOptions{}, 0, err
		}
		return f.Streams(bus.StreamOptions{Replicas: 3}), f.Checkpoints(), f.Check()
	}
	o, checkpoints, err := parse("--keep-logs", "2h", "--artifacts-max", "100GiB")
	if err != nil || checkpoints != 0 || o.LogsMaxAge != 2*time.Hour || o.OutputMaxBytes != 100<<30 || o.Replicas != 3 ||
		o.OutputMaxAge != bus.OutputMaxAgeDefault || o.LogsMaxBytes != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, checkpoints, err := parse("--keep-checkpoints", "36h"); err != nil || checkpoints != 36*time.Hour {
		t.Errorf("checkpoints are kept for %v, %v", checkpoints, err)
	}
	for _, wrong := range [][]string{
		{"--keep-artifacts", "0"}, {"--keep-logs", "-1h"}, {"--logs-max", "much"}, {"--keep-checkpoints", "-1h"}, {"--keep-checkpoints", "1s"}, {"--keep-code", "1s"},
	} {
		if _, _, err := parse(wrong...); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}
