package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/workflow"
)

// Registry returns the workflow factories that the programs know by a short name. A program with workflows of its own
// registers them beside these.
func Registry() *spec.Registry {
	r := spec.NewRegistry()
	if err := r.Register(workflow.FactoryName, workflow.Factory); err != nil {
		panic(err) // an empty registry takes any name
	}
	return r
}

// Chosen is the workflow of a run: what the command line says, or what the workdir remembers.
type Chosen struct {
	Spec     spec.WorkflowSpec
	Workflow spec.Workflow
	Name     string
}

// ChooseWorkflow builds the workflow for a workdir. from is a workflow file or the short name of a factory, and argv what
// followed "--"; with from empty the workdir's own record is used, argv after its arguments. What was chosen is recorded
// in the workdir, with a copy of a workflow file, so that the workdir alone is enough the next time.
func ChooseWorkflow(ctx context.Context, r *spec.Registry, from string, argv []string, workdir string) (*Chosen, error) {
	factory, err := factoryFor(r, from, argv, workdir)
	if err != nil {
		return nil, err
	}
	make, err := r.Lookup(factory.Spec)
	if err != nil {
		return nil, err
	}
	ws, err := make(factoryArgv(factory, from != "", workdir), workdir)
	if err != nil {
		return nil, err
	}
	if err := ws.Setup(ctx, workdir); err != nil {
		return nil, fmt.Errorf("set the workdir %s up: %w", workdir, err)
	}
	w, err := ws.BuildWorkflow(ctx, workdir)
	if err != nil {
		return nil, fmt.Errorf("build the workflow: %w", err)
	}
	return &Chosen{Spec: ws, Workflow: w, Name: nameOf(ws, factory.Spec)}, record(factory, from != "", workdir)
}

// factoryFor says which factory to call with what.
func factoryFor(r *spec.Registry, from string, argv []string, workdir string) (snapshot.Factory, error) {
	switch {
	case from == "":
		return remembered(argv, workdir)
	case slices.Contains(r.Names(), from):
		return snapshot.Factory{Spec: from, Argv: argv}, nil
	}
	path, err := filepath.Abs(from)
	if err != nil {
		return snapshot.Factory{}, fmt.Errorf("workflow %s: %w", from, err)
	}
	if _, err := os.Stat(path); err != nil {
		return snapshot.Factory{}, fmt.Errorf("workflow %s: %w; it must be a workflow file, or one of the registered names %q",
			from, errors.Unwrap(err), r.Names())
	}
	return snapshot.Factory{Spec: workflow.FactoryName, Workflow: path, Argv: argv, Dir: filepath.Dir(path)}, nil
}

func remembered(argv []string, workdir string) (snapshot.Factory, error) {
	factory, err := snapshot.ReadFactory(workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return factory, fmt.Errorf("workdir %s does not say which workflow it belongs to; name it with --workflow FILE", workdir)
	}
	factory.Argv = append(factory.Argv, argv...)
	return factory, err
}

// factoryArgv is what the factory is called with. A workflow file is read from its own place when it was named just now,
// and else from the workdir's copy; its commands run where the original lies.
func factoryArgv(f snapshot.Factory, named bool, workdir string) []string {
	if f.Workflow == "" {
		return f.Argv
	}
	path := f.Workflow
	if !named {
		path = filepath.Join(workdir, workflow.CopyName)
	}
	return append([]string{path, "--dir", f.Dir}, f.Argv...)
}

// RememberedArgv is what the factory that a workdir remembers is called with.
func RememberedArgv(f snapshot.Factory, workdir string) []string {
	return factoryArgv(f, false, workdir)
}

// RunName is what --run says, or what the workdir remembers, or the workflow's name.
func RunName(flag, workdir, fallback string) spec.RunName {
	if flag != "" {
		return spec.RunName(flag)
	}
	if recorded, err := snapshot.ReadRun(workdir); err == nil {
		return recorded.Run
	}
	return spec.RunName(fallback) // a record that cannot be read is the coordinator's to complain of
}

// record writes what was chosen into the workdir.
func record(f snapshot.Factory, named bool, workdir string) error {
	if named && f.Workflow != "" {
		text, err := os.ReadFile(f.Workflow)
		if err != nil {
			return fmt.Errorf("copy the workflow file: %w", err)
		}
		if err := snapshot.WriteFile(filepath.Join(workdir, workflow.CopyName), text); err != nil {
			return fmt.Errorf("copy the workflow file: %w", err)
		}
	}
	return snapshot.WriteFactory(workdir, f)
}

func nameOf(ws spec.WorkflowSpec, fallback string) string {
	if s, ok := ws.(*workflow.Spec); ok && s.File().Name != "" {
		return s.File().Name
	}
	return fallback
}
