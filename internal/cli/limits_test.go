package cli

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"autoresearch/pkg/spec"
)

func TestLimitFlags(t *testing.T) {
	t.Parallel()
	parse := func(args ...string) (LimitFlags, error) {
		var f LimitFlags
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		f.Add(fs)
		return f, fs.Parse(args)
	}
	f, err := parse("--max-children=5", "--max-depth", "7", "--max-payload=1MiB", "--max-result=65536", "--max-lost=2")
	want := LimitFlags{Limits: spec.SizeLimits{Children: 5, Depth: 7, Payload: 1 << 20, Result: 65536}, MaxLost: 2}
	if err != nil || f != want {
		t.Errorf("got %+v, error %v", f, err)
	}
	if f, err := parse(); err != nil || f != (LimitFlags{}) {
		t.Errorf("got %+v, error %v", f, err)
	}
	for _, bad := range []string{"--max-children=0", "--max-depth=-1", "--max-payload=much", "--max-result=2GiB", "--max-lost=1.5"} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := parse(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
