package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// options is everything that one run needs to know.
type options struct {
	params     params
	budget     float64 // multiply-adds, see budget.go
	evalTest   bool    // also score the test split
	resultFile string  // where the engine expects the result; empty by hand
}

// help is filled in with the list of parameters and the default budget.
const help = `charlm trains a small language model on one book and prints how many bits per
byte it needs for held-out text.

Usage: charlm [flags]

Parameters:
%s
Other flags:
  --payload     parameters as one JSON object, such as '{"lr":0.3}'
  --budget      multiply-adds to spend; the search never varies it (default %g)
  --eval-test   also print test_bpb; only after a search, to judge what it found
  --help        print this text

Examples:
  charlm                                         the baseline, all defaults
  charlm --optimizer adam --lr 0.005 --schedule cosine
  charlm --budget 1e9                            a quick look, a twelfth of the work
  charlm --eval-test --payload '{"lr":0.3}'      judge a payload on the test split
`

// readOptions takes the parameters from the defaults, then from the task file
// that the engine names, then from the flags; the later wins. On --help it
// returns flag.ErrHelp.
func readOptions(args []string, getenv func(string) string) (options, error) {
	o := options{params: defaultParams(), budget: defaultBudget, resultFile: getenv("AUTORESEARCH_RESULT_FILE")}
	if path := getenv("AUTORESEARCH_TASK_FILE"); path != "" {
		if err := o.params.readTask(path); err != nil {
			return o, err
		}
	}
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; parameters are flags, see --help", flags.Arg(0))
	}
	return o, nil
}

// flags declares one flag per parameter, and those of the program itself. It
// prints nothing: errors and help are for the caller to print.
func (o *options) flags() *flag.FlagSet {
	set := flag.NewFlagSet("charlm", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range o.params.fields() {
		set.Func(f.name, f.meaning, f.parse)
	}
	set.Func("payload", "", func(s string) error { return o.params.readPayload([]byte(s)) })
	set.Float64Var(&o.budget, "budget", o.budget, "")
	set.BoolVar(&o.evalTest, "eval-test", false, "")
	return set
}

// usage prints the help.
func usage(w io.Writer) error {
	var text strings.Builder
	p := defaultParams()
	for _, f := range p.fields() {
		fmt.Fprintf(&text, "  --%-11s %s: %s (default %s)\n", f.name, f.meaning, f.allowed(), f.text())
	}
	_, err := fmt.Fprintf(w, help, text.String(), defaultBudget)
	return err
}

// readTask reads the parameters from the payload of a task file.
func (p *params) readTask(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("task file: %w", err)
	}
	var task struct {
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(data, &task); err != nil {
		return fmt.Errorf("task file %s: %w", path, err)
	}
	if len(task.Payload) == 0 {
		return nil
	}
	return p.readPayload(task.Payload)
}
