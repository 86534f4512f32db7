package runs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"autoresearch/internal/cli"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/workflow"
)

// optionsOf builds the run's workflow in its workdir.
func (s *Server) optionsOf(ctx context.Context, e kv.RunEntry) (coordinator.Options, error) {
	o, dir := s.o.Common, s.workdir(e)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return o, fmt.Errorf("run %q: %w", e.Name, err)
	}
	if err := snapshot.WriteFile(filepath.Join(dir, workflow.CopyName), []byte(e.Workflow)); err != nil {
		return o, fmt.Errorf("run %q: %w", e.Name, err)
	}
	chosen, err := cli.ChooseWorkflow(ctx, s.o.Factories, workflow.FactoryName, arguments(e), dir)
	if err != nil {
		return o, fmt.Errorf("run %q: %w", e.Name, err)
	}
	o.Run, o.Workflow, o.Name, o.Workdir = e.Name, chosen.Workflow, string(e.Name), dir
	o.Weight, o.Conn, o.Logger = e.Weight, s.o.Conn, s.o.Log
	if o.MaxConcurrency = chosen.Spec.MaxConcurrency(); e.Budget > 0 {
		o.MaxConcurrency = e.Budget
	}
	o.Keep = func(ctx context.Context, workdir string) error {
		return keep(ctx, s.files, e.Name, workdir)
	}
	return o, nil
}

// arguments are what the workflow's factory is called with.
func arguments(e kv.RunEntry) []string {
	var argv []string
	if e.Dir != "" {
		argv = []string{"--dir", e.Dir}
	}
	return append(argv, e.Args...)
}

// check says what is wrong with an entry's workflow, before anybody tries to lead it.
func check(e kv.RunEntry) error {
	f, err := workflow.Parse(workflow.CopyName, []byte(e.Workflow), e.Args)
	if err != nil {
		return err
	}
	for i := range f.Notify {
		if err := checkNotification(&f.Notify[i]); err != nil {
			return fmt.Errorf("notify.%d: %w", i, err)
		}
	}
	for _, k := range f.Kinds {
		if k.Code != nil && k.Code.Local() {
			return fmt.Errorf("kinds.%s.code: a registered run reads no files of the coordinator's machine; use {git: https://..., commit: HASH}", k.Name)
		}
	}
	if e.Dir != "" && !filepath.IsAbs(e.Dir) {
		return fmt.Errorf("dir %q: it must be an absolute path, that of the commands on every worker", e.Dir)
	}
	return nil
}

// notifyEnvPrefix begins the environment variables of a coordinator that registered runs may name.
const notifyEnvPrefix = "AUTORESEARCH_NOTIFY_"

// checkNotification refuses what would run or read something on the coordinators' machines: whoever may register a run may not
// do so there.
func checkNotification(n *spec.Notification) error {
	if n.Local() {
		return errors.New("a registered run has no command and reads no file on the coordinator's machine; use a webhook, and for its secrets " +
			"webhook_env and token_env")
	}
	for _, name := range []string{n.WebhookEnv, n.TokenEnv} {
		if name != "" && !strings.HasPrefix(name, notifyEnvPrefix) {
			return fmt.Errorf("environment variable %s: of a registered run its name must begin with %s", name, notifyEnvPrefix)
		}
	}
	return nil
}
