package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// submitOptions are the flags of the submit command.
type submitOptions struct {
	steering
	id, kind, payload, parent string
	priority                  float64
	allowance                 allowanceFlags
}

func submitCommand() *cobra.Command {
	var o submitOptions
	cmd := &cobra.Command{
		Use:   "submit [FILE...]",
		Short: "Submit tasks",
		Long: `Submit tasks: from files, from standard input (-), or one by flags. A file holds a list of tasks, one task, one task a
line, or an engine_state.json, whose queue is taken. A task is {"id": ..., "priority": 0, "kind": "default", "payload": {}}.

A task that is there already with the same content is left alone, so a submission can be repeated. One with another content is
refused; the others are not affected.`,
		Example: `  autoresearch submit tasks.json
  autoresearch submit --id idea-7 --max-gpu-hours 10 --max-cost 50   # with all that descends from it
  autoresearch submit --id probe-1 --payload '{"lr": 0.01}' --priority -5
  jq -c '.[] | select(.priority < 0)' tasks.json | autoresearch submit - -m "the urgent ones"
  autoresearch submit tasks.json --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			tasks, err := o.read(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			return o.do(cmd, "", func(ctx context.Context, s *session) error { return o.submit(ctx, s, tasks) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.id, "id", "", "submit one task with this `ID`")
	fs.StringVar(&o.kind, "kind", spec.KindDefault, "of --id: its `KIND`")
	fs.StringVar(&o.payload, "payload", "{}", "of --id: its payload, a `JSON` object")
	fs.StringVar(&o.parent, "parent", "", "of --id: the task `ID` that it stands below in the tree")
	fs.Float64Var(&o.priority, "priority", 0, "of --id: its priority; the lower number runs first")
	o.allowance.addLimits(fs, "of --id, with all its descendants: ")
	must(cmd.RegisterFlagCompletionFunc("parent", o.completeTasks))
	must(cmd.RegisterFlagCompletionFunc("kind", o.completeKinds))
	o.add(cmd)
	return cmd
}

// read gathers the tasks of the files, or the one of the flags.
func (o *submitOptions) read(stdin io.Reader, files []string) ([]spec.TaskSpec, error) {
	if (o.id == "") == (len(files) == 0) {
		return nil, cli.Exit(cli.ExitUsage, errors.New("name files (- is standard input), or one task by --id"))
	}
	if o.id != "" {
		payload, err := spec.ParsePayload([]byte(o.payload))
		if err != nil {
			return nil, cli.Exit(cli.ExitUsage, fmt.Errorf("--payload: %w", err))
		}
		task := spec.TaskSpec{
			ID: spec.TaskID(o.id), Kind: o.kind, Payload: payload, Priority: o.priority, Parent: spec.TaskID(o.parent),
		}
		field, limited, err := o.allowance.field()
		if limited {
			task.Extra = []spec.Field{field}
		}
		return []spec.TaskSpec{task}, err
	}
	if _, limited, _ := o.allowance.field(); limited {
		return nil, cli.Exit(cli.ExitUsage, errors.New("the allowance of a task in a file stands in the file: \"allowance\": {\"max_cost\": 50}"))
	}
	var tasks []spec.TaskSpec
	for _, file := range files {
		text, err := readFileOr(stdin, file)
		if err != nil {
			return nil, err
		}
		found, err := readTasks(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		tasks = append(tasks, found...)
	}
	return tasks, nil
}

func readFileOr(stdin io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// readTasks reads a list, an engine_state.json, or objects one after the other.
func readTasks(text []byte) ([]spec.TaskSpec, error) {
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("[")) {
		return spec.DecodeTaskSpecs(text)
	}
	if fields, err := spec.DecodeFields(text); err == nil {
		for _, f := range fields {
			if f.Name == "queued" || f.Name == "running" {
				state, err := spec.DecodeEngineState(text)
				return state.Resume(), err
			}
		}
		ts, err := spec.DecodeTaskSpec(text)
		return []spec.TaskSpec{ts}, err
	}
	var tasks []spec.TaskSpec
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		ts, err := spec.DecodeTaskSpec(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		tasks = append(tasks, ts)
	}
	return tasks, lines.Err()
}

// submitChunk is how many tasks are sent at once.
const submitChunk = 1000

func (o *submitOptions) submit(ctx context.Context, s *session, tasks []spec.TaskSpec) error {
	total := api.SubmitAnswer{Items: []api.SubmitItem{}, DryRun: o.dryRun}
	for len(tasks) > 0 {
		n := min(submitChunk, len(tasks))
		answer, err := s.Submit(ctx, s.run, api.SubmitRequest{Tasks: tasks[:n], Reason: o.reason, DryRun: o.dryRun})
		if err != nil {
			return fmt.Errorf("%d tasks were accepted: %w", total.Accepted, err)
		}
		total.Items, total.Accepted = append(total.Items, answer.Items...), total.Accepted+answer.Accepted
		tasks = tasks[n:]
	}
	refused := 0
	for _, item := range total.Items {
		if item.Error != nil {
			refused++
		}
	}
	err := s.print(total, func(w *bytes.Buffer, wide bool) { writeSubmitted(w, &total, refused, wide) })
	if err == nil && refused > 0 {
		return cli.Exit(exitState, fmt.Errorf("%d of %d tasks were refused", refused, len(total.Items)))
	}
	return err
}

// writeSubmitted lists what was refused, and with wide everything.
func writeSubmitted(w *bytes.Buffer, a *api.SubmitAnswer, refused int, wide bool) {
	if refused > 0 || wide {
		t := newTable(w, "ID", "OUTCOME", "WHY")
		for _, item := range a.Items {
			why := ""
			if item.Error != nil {
				why = harmless(item.Error.Error(), 200)
			}
			if item.Error != nil || wide {
				t.row(name(item.ID), item.Status, why)
			}
		}
		t.end()
	}
	note := ""
	if a.DryRun {
		note = " (dry run: nothing was done)"
	}
	fmt.Fprintf(w, "%d accepted, %d there already, %d refused%s\n", a.Accepted, len(a.Items)-a.Accepted-refused, refused, note)
}
