package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"autoresearch/pkg/spec"
)

// Factory says how the workflow of a workdir is made: the content of workflow_factory.json. The original writes and
// reads only Spec.
type Factory struct {
	// Spec names the factory: "module.path:factory_name" or a registered short name. Required.
	Spec string
	// Workflow is the path of the workflow file, "" when the factory needs none.
	Workflow string
	// Argv is what followed "--", and Dir the directory that relative paths are meant from; nil and "" when unknown.
	Argv []string
	Dir  string
	// Extra holds unknown keys, kept on a rewrite.
	Extra []spec.Field
}

const factoryRemedy = `mend it ({"spec": "<factory>"}) or name the workflow on the command line`

// WriteFactory replaces workflow_factory.json, durably.
func WriteFactory(workdir string, factory Factory) error {
	fields := []spec.Field{textField("spec", factory.Spec)}
	if factory.Workflow != "" {
		fields = append(fields, textField("workflow", factory.Workflow))
	}
	if factory.Argv != nil {
		argv, err := spec.EncodeValue(factory.Argv)
		if err != nil {
			return fmt.Errorf("write workflow factory: %w", err)
		}
		fields = append(fields, spec.Field{Name: "argv", Value: argv})
	}
	if factory.Dir != "" {
		fields = append(fields, textField("dir", factory.Dir))
	}
	return WriteFile(filepath.Join(workdir, FactoryFile), spec.EncodeFields(append(fields, factory.Extra...)))
}

// ReadFactory reads workflow_factory.json. With no such file the error wraps fs.ErrNotExist; a file that says no
// factory is a *CorruptError.
func ReadFactory(workdir string) (Factory, error) {
	var factory Factory
	err := readFields(filepath.Join(workdir, FactoryFile), factoryRemedy, func(field spec.Field) (err error) {
		switch field.Name {
		case "spec":
			factory.Spec, err = textOf(field.Value)
		case "workflow":
			factory.Workflow, err = textOf(field.Value)
		case "dir":
			factory.Dir, err = textOf(field.Value)
		case "argv":
			factory.Argv, err = textsOf(field.Value)
		default:
			factory.Extra = append(factory.Extra, field)
		}
		return err
	}, func() error {
		if factory.Spec == "" {
			return errors.New("spec: is missing")
		}
		return nil
	})
	if err != nil {
		return Factory{}, err
	}
	return factory, nil
}

// RunRecord is the content of engine/run.json: the evidence outside of NATS that a journal existed, and how far it was
// acknowledged. A journal that is missing, or that ends before JournalSeq, has lost data.
type RunRecord struct {
	// RunID is the run's UUID; Run its name.
	RunID string
	Run   spec.RunName
	// JournalSeq is the stream sequence of the last journal record known to be acknowledged when this was written.
	JournalSeq uint64
	// Epoch is the leader's term at that record.
	Epoch uint64
	// Extra holds unknown keys, kept on a rewrite.
	Extra []spec.Field
}

const runRemedy = "it is the evidence of how far the journal was; restore it, or the run, from a backup"

// WriteRun replaces engine/run.json, durably. <workdir>/engine must exist (see Open).
func WriteRun(workdir string, run RunRecord) error {
	fields := append([]spec.Field{
		textField("run_id", run.RunID),
		textField("run", string(run.Run)),
		{Name: "journal_seq", Value: strconv.AppendUint(nil, run.JournalSeq, 10)},
		{Name: "epoch", Value: strconv.AppendUint(nil, run.Epoch, 10)},
	}, run.Extra...)
	return WriteFile(filepath.Join(workdir, filepath.FromSlash(RunFile)), spec.EncodeFields(fields))
}

// ReadRun reads engine/run.json. With no such file the error wraps fs.ErrNotExist; one that is not whole is a
// *CorruptError: it proves nothing about the journal, so a caller must not take it for a fresh run.
func ReadRun(workdir string) (RunRecord, error) {
	var run RunRecord
	seen := map[string]bool{}
	path := filepath.Join(workdir, filepath.FromSlash(RunFile))
	err := readFields(path, runRemedy, func(field spec.Field) (err error) {
		seen[field.Name] = true
		switch field.Name {
		case "run_id":
			run.RunID, err = textOf(field.Value)
		case "run":
			var name string
			name, err = textOf(field.Value)
			run.Run = spec.RunName(name)
		case "journal_seq":
			run.JournalSeq, err = uintOf(field.Value)
		case "epoch":
			run.Epoch, err = uintOf(field.Value)
		default:
			run.Extra = append(run.Extra, field)
		}
		return err
	}, func() error { return requireKeys(seen, "run_id", "run", "journal_seq", "epoch") })
	if err != nil {
		return RunRecord{}, err
	}
	return run, nil
}

// readFields reads a file that holds one object, passes its members to set and asks check at the end.
func readFields(path, remedy string, set func(spec.Field) error, check func() error) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read workdir: %w", err)
	}
	fields, err := spec.DecodeFields(text)
	for _, field := range fields {
		if err == nil {
			if err = set(field); err != nil {
				err = fmt.Errorf("%s: %w", field.Name, err)
			}
		}
	}
	if err == nil {
		err = check()
	}
	if err != nil {
		return &CorruptError{Path: path, Remedy: remedy, Err: err}
	}
	return nil
}

func requireKeys(seen map[string]bool, names ...string) error {
	for _, name := range names {
		if !seen[name] {
			return fmt.Errorf("%s: is missing", name)
		}
	}
	return nil
}

func textField(name, text string) spec.Field {
	return spec.Field{Name: name, Value: spec.EncodeText(text)}
}

// textOf returns a string value; null is "".
func textOf(value json.RawMessage) (string, error) {
	decoded, err := spec.DecodeValue(value)
	if err != nil || decoded == nil {
		return "", err
	}
	text, ok := decoded.(string)
	if !ok {
		return "", errors.New("must be a string")
	}
	return text, nil
}

// textsOf returns a list of strings; null is nil.
func textsOf(value json.RawMessage) ([]string, error) {
	decoded, err := spec.DecodeValue(value)
	if err != nil || decoded == nil {
		return nil, err
	}
	list, ok := decoded.([]any)
	if !ok {
		return nil, errors.New("must be a list of strings")
	}
	texts := make([]string, len(list))
	for i, item := range list {
		if texts[i], ok = item.(string); !ok {
			return nil, fmt.Errorf("[%d]: must be a string", i)
		}
	}
	return texts, nil
}

// uintOf returns a whole number that is not negative.
func uintOf(value json.RawMessage) (uint64, error) {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0, errors.New("must be a whole number, not negative, of 64 bits at most")
	}
	return n, nil
}
