package cli

import (
	"fmt"
	"math"

	"github.com/spf13/pflag"

	"autoresearch/pkg/spec"
)

// LimitFlags are the flags that bound what one task or one result may be. What is not given is left to the workflow.
type LimitFlags struct {
	Limits  spec.SizeLimits
	MaxLost int
	// PurgeJournalAbove is the size from which on the journal is purged of what the mirror holds; 0: never.
	PurgeJournalAbove int64

	noBreaker bool
}

// Breaker is after how many tasks in a row that failed in the same way the run stops; 0: never.
func (f *LimitFlags) Breaker() int {
	if f.noBreaker {
		return 0
	}
	return breakerDefault
}

const breakerDefault = 10

// Add registers the flags.
func (f *LimitFlags) Add(fs *pflag.FlagSet) {
	fs.Var(countValue{&f.Limits.Children}, "max-children", "most children `N` of one result (default 10000, or the workflow's limits.children)")
	fs.Var(countValue{&f.Limits.Depth}, "max-depth", "most tasks `N` above one another in the tree (default 100000, or limits.depth)")
	fs.Var(sizeValue{&f.Limits.Payload}, "max-payload", "most bytes `SIZE` of a task's payload, as 64MiB (the default, or limits.payload)")
	fs.Var(sizeValue{&f.Limits.Result}, "max-result", "most bytes `SIZE` of a result, as 64MiB (the default, or limits.result)")
	fs.Var(countValue{&f.MaxLost}, "max-lost", "fail a task that lost its worker more than `N` times (default 5, or its kind's max_lost)")
	fs.Var(sizeValue{&f.PurgeJournalAbove}, "purge-journal-above",
		"once the journal takes more than `SIZE`, as 1GiB, remove what is older than 10 minutes and in the mirror (default: keep all)")
	fs.BoolVar(&f.noBreaker, "no-breaker", false, "go on however many tasks in a row fail in the same way (default: stop after 10)")
}

// countValue is a flag of a whole number from 1.
type countValue struct{ n *int }

// Set implements pflag.Value.
func (v countValue) Set(text string) error {
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > math.MaxInt32 || fmt.Sprint(n) != text {
		return fmt.Errorf("%.40q is no whole number from 1", text)
	}
	*v.n = n
	return nil
}

// Type implements pflag.Value.
func (countValue) Type() string { return "int" }

// String implements pflag.Value.
func (v countValue) String() string {
	if v.n == nil || *v.n == 0 {
		return ""
	}
	return fmt.Sprint(*v.n)
}

// sizeValue is a flag of a number of bytes.
type sizeValue struct{ bytes *int64 }

// Set implements pflag.Value.
func (v sizeValue) Set(text string) error {
	bytes, err := spec.ParseSize(text)
	if err == nil && bytes > spec.SizeMax {
		err = fmt.Errorf("%s is more than %s", text, spec.FormatSize(spec.SizeMax))
	}
	if err == nil {
		*v.bytes = bytes
	}
	return err
}

// Type implements pflag.Value.
func (sizeValue) Type() string { return "size" }

// String implements pflag.Value.
func (v sizeValue) String() string {
	if v.bytes == nil || *v.bytes == 0 {
		return ""
	}
	return spec.FormatSize(*v.bytes)
}
