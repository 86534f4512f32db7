package cli

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// RetentionFlags are the flags that say how long, and how much, is kept of what a run's experiments write and leave,
// in NATS and on workers.
type RetentionFlags struct {
	logs, artifacts, checkpoints, code time.Duration
	logsBytes, artifactsBytes          int64
}

// Add registers the flags.
func (f *RetentionFlags) Add(fs *pflag.FlagSet) {
	fs.DurationVar(&f.logs, "keep-logs", bus.LogsMaxAgeDefault, "keep what experiments write in NATS for `DURATION`")
	fs.Var(volumeValue{&f.logsBytes}, "logs-max", "keep at most `SIZE` of it, the newest (default 1GiB for a new run)")
	fs.DurationVar(&f.artifacts, "keep-artifacts", bus.OutputMaxAgeDefault, "keep the files and curves that experiments leave for `DURATION`")
	fs.Var(volumeValue{&f.artifactsBytes}, "artifacts-max", "keep at most `SIZE` of them, the newest (default 4GiB for a new run)")
	fs.DurationVar(&f.checkpoints, "keep-checkpoints", 0,
		"keep checkpoints for `DURATION` after their last change, longer than any task lives (default: as each worker says)")
	fs.DurationVar(&f.code, "keep-code", 0,
		"have workers keep source trees that experiments bring for `DURATION` after their last use (default: while they have room)")
}

// Check refuses ages that cannot be meant.
func (f *RetentionFlags) Check() error {
	ages := map[string]time.Duration{"keep-logs": f.logs, "keep-artifacts": f.artifacts}
	for name, age := range map[string]time.Duration{"keep-checkpoints": f.checkpoints, "keep-code": f.code} {
		if age != 0 { // workers say it
			ages[name] = age
		}
	}
	for name, age := range ages {
		if age < time.Minute {
			return Exit(ExitUsage, fmt.Errorf("--%s %v: it must be a minute at least", name, age))
		}
	}
	return nil
}

// Streams says so in the options of streams.
func (f *RetentionFlags) Streams(o bus.StreamOptions) bus.StreamOptions {
	o.LogsMaxAge, o.LogsMaxBytes = f.logs, f.logsBytes
	o.OutputMaxAge, o.OutputMaxBytes = f.artifacts, f.artifactsBytes
	return o
}

// Checkpoints is how long checkpoints are kept; 0: as each worker says.
func (f *RetentionFlags) Checkpoints() time.Duration { return f.checkpoints }

// Code is how long workers keep source trees; 0: while they have room.
func (f *RetentionFlags) Code() time.Duration { return f.code }

// volumeValue is a flag of a number of bytes without bound.
type volumeValue struct{ bytes *int64 }

// Set implements pflag.Value.
func (v volumeValue) Set(text string) (err error) {
	*v.bytes, err = spec.ParseSize(text)
	return err
}

// Type implements pflag.Value.
func (volumeValue) Type() string { return "size" }

// String implements pflag.Value.
func (v volumeValue) String() string { return sizeValue(v).String() }
