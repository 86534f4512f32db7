package cli

import (
	"testing"
	"time"

	"github.com/spf13/pflag"

	"autoresearch/pkg/bus"
)

func TestRetentionFlags(t *testing.T) {
	t.Parallel()
	parse := func(args ...string) (bus.StreamOptions, error) {
		var f RetentionFlags
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		f.Add(fs)
		if err := fs.Parse(args); err != nil {
			return bus.StreamOptions{}, err
		}
		return f.Streams(bus.StreamOptions{Replicas: 3}), f.Check()
	}
	o, err := parse("--keep-logs", "2h", "--artifacts-max", "100GiB")
	if err != nil || o.LogsMaxAge != 2*time.Hour || o.OutputMaxBytes != 100<<30 || o.Replicas != 3 ||
		o.OutputMaxAge != bus.OutputMaxAgeDefault || o.LogsMaxBytes != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, wrong := range [][]string{{"--keep-artifacts", "0"}, {"--keep-logs", "-1h"}, {"--logs-max", "much"}} {
		if _, err := parse(wrong...); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}
