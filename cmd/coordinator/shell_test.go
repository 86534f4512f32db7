package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/spf13/pflag"

	"autoresearch/internal/web"
)

// TestEveryRunHasTheLimits: what a coordinator is told of limits counts for one run as for all that are registered.
func TestEveryRunHasTheLimits(t *testing.T) {
	t.Parallel()
	var o options
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.limits.Add(fs)
	if err := fs.Parse([]string{"--purge-journal-above", "64MiB", "--max-lost", "7"}); err != nil {
		t.Fatal(err)
	}
	c := o.common(&shell{log: slog.New(slog.NewTextHandler(io.Discard, nil)), site: &web.Site{}})
	if c.PurgeJournalAbove != 64<<20 || c.MaxLost != 7 {
		t.Errorf("%+v", c)
	}
}
