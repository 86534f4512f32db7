package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"autoresearch/pkg/spec"
)

// The environment of an experiment, on top of the worker's own; the recipe's comes on top of this, and which GPUs it has on
// top of all. Variables of the worker that begin with AUTORESEARCH_ are not passed on.
const (
	EnvTaskID        = "AUTORESEARCH_TASK_ID"
	EnvRun           = "AUTORESEARCH_RUN"
	EnvAttempt       = "AUTORESEARCH_ATTEMPT" // the number, from 1
	EnvKind          = "AUTORESEARCH_KIND"
	EnvTaskFile      = "AUTORESEARCH_TASK_FILE"      // the TaskSpec as JSON
	EnvResultFile    = "AUTORESEARCH_RESULT_FILE"    // where to write the result, if there is more than progress says
	EnvCheckpointDir = "AUTORESEARCH_CHECKPOINT_DIR" // survives into the next attempt
	EnvArtifactsDir  = "AUTORESEARCH_ARTIFACTS_DIR"  // what it leaves there is kept with the result
	EnvCodeDir       = "AUTORESEARCH_CODE_DIR"       // the source tree of the task, where it brings one
	EnvResumed       = "AUTORESEARCH_RESUMED"        // "1" when the checkpoint directory holds an earlier attempt's files

	envPrefix = spec.WorkerEnvPrefix
)

// The files of an attempt.
const (
	taskFileName      = "task.json"
	resultFileName    = "result.json"
	stdoutFileName    = "stdout.log"
	stderrFileName    = "stderr.log"
	checkpointDirName = "checkpoint"
	artifactsDirName  = "artifacts"
	codeTreeName      = "code"
)

// resultFileMin is how large a result file may be whatever the leader takes, in bytes: encoded it may be smaller.
const resultFileMin = 8 << 20

// attemptFiles are the paths of one attempt: its directory, where its checkpoints go, its source tree (empty without one), and
// what lies in the directory.
type attemptFiles struct{ dir, checkpoint, code string }

func (f attemptFiles) task() string      { return f.within(taskFileName) }
func (f attemptFiles) result() string    { return f.within(resultFileName) }
func (f attemptFiles) stdout() string    { return f.within(stdoutFileName) }
func (f attemptFiles) stderr() string    { return f.within(stderrFileName) }
func (f attemptFiles) artifacts() string { return f.within(artifactsDirName) }

func (f attemptFiles) within(name string) string { return f.dir + string(filepath.Separator) + name }

// filesOf names the files of an attempt; none exists yet.
func (w *worker) filesOf(a *attempt) attemptFiles {
	files := attemptFiles{dir: w.o.AttemptDir(a.ref.Run, a.ref.Task, a.ref.Attempt)}
	files.checkpoint = files.within(checkpointDirName)
	if w.o.CheckpointRoot != "" {
		files.checkpoint = w.checkpointDir(a, a.ref.Attempt)
	}
	if !a.dispatch.Task.Code.IsZero() {
		files.code = files.within(codeTreeName)
	}
	return files
}

// checkpointDir names the checkpoint directory of an attempt of a's task: its own below Options.CheckpointRoot, where every
// worker that shares that path finds it, else in the attempt's directory. Runs of one name are told apart by their number.
func (w *worker) checkpointDir(a *attempt, attempt uint32) string {
	if w.o.CheckpointRoot == "" {
		return filepath.Join(w.o.AttemptDir(a.ref.Run, a.ref.Task, attempt), checkpointDirName)
	}
	run := spec.EncodeName(string(a.ref.Run))
	if a.dispatch.RunID != "" {
		run += "." + spec.EncodeName(a.dispatch.RunID)
	}
	return filepath.Join(w.o.CheckpointRoot, run, spec.EncodeName(string(a.ref.Task)), strconv.FormatUint(uint64(attempt), 10))
}

// attemptDirDefault is the layout below Options.Dir. An encoded name is one element of a path, never empty and never a dot.
func attemptDirDefault(root string) func(spec.RunName, spec.TaskID, uint32) string {
	const separator = string(filepath.Separator)
	above := filepath.Join(root, attemptsDirName) + separator
	return func(run spec.RunName, task spec.TaskID, attempt uint32) string {
		return above + spec.EncodeName(string(run)) + separator + spec.EncodeName(string(task)) + separator +
			strconv.FormatUint(uint64(attempt), 10)
	}
}

// preparerKey is under which the context of a Runner carries its preparer.
type preparerKey struct{}

type preparer struct {
	worker  *worker
	attempt *attempt
}

// PrepareDir makes the directory of the attempt that ctx belongs to, with its task file and its checkpoint directory. A
// Runner that wants files calls it with the context it was given; others cost no file. resumed says that the checkpoint
// directory holds an earlier attempt's files.
func PrepareDir(ctx context.Context) (resumed bool, err error) {
	p, ok := ctx.Value(preparerKey{}).(preparer)
	if !ok {
		return false, errors.New("prepare attempt directory: the context is not that of an attempt")
	}
	return p.worker.prepare(p.attempt, p.worker.filesOf(p.attempt))
}

// prepare makes the files an attempt begins with. The directory may hold those of a try that a crash ended: a result and
// artifacts left there are removed, the checkpoint is kept.
func (w *worker) prepare(a *attempt, files attemptFiles) (resumed bool, err error) {
	a.prepared.Store(true)
	if err := makeDir(files.dir); err != nil {
		return false, fmt.Errorf("make attempt directory: %w", err)
	}
	if err := os.RemoveAll(files.result()); err != nil {
		return false, fmt.Errorf("remove an old result: %w", err)
	}
	if err := os.RemoveAll(files.artifacts()); err != nil {
		return false, fmt.Errorf("remove old artifacts: %w", err)
	}
	if err := makeDir(files.artifacts()); err != nil {
		return false, fmt.Errorf("make artifacts directory: %w", err)
	}
	task := append(a.dispatch.Task.AppendJSON(nil), '\n')
	if err := os.WriteFile(files.task(), task, 0o644); err != nil {
		return false, fmt.Errorf("write task file: %w", err)
	}
	if resumed, err = w.seedCheckpoint(a, files.checkpoint); err != nil {
		return false, fmt.Errorf("prepare checkpoint: %w", err)
	}
	w.noteRetention(a, files)
	if err := w.unpackCode(a, files); err != nil {
		return false, fmt.Errorf("prepare code: %w", err)
	}
	return resumed, nil
}

// environment returns the whole environment of an attempt; of equal names the last counts. It holds secrets: nothing may
// write it down.
func (w *worker) environment(a *attempt, files attemptFiles, resumed bool) ([]string, error) {
	secret, err := secrets(&a.dispatch.Recipe)
	if err != nil {
		return nil, err
	}
	env := make([]string, 0, 64)
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) && (w.o.PassEnv == nil || w.o.PassEnv(name)) {
			env = append(env, variable)
		}
	}
	env = append(env,
		EnvTaskID+"="+string(a.ref.Task),
		EnvRun+"="+string(a.ref.Run),
		EnvAttempt+"="+strconv.FormatUint(uint64(a.ref.Attempt), 10),
		EnvKind+"="+a.dispatch.Task.Kind,
		EnvTaskFile+"="+files.task(),
		EnvResultFile+"="+files.result(),
		EnvCheckpointDir+"="+files.checkpoint,
		EnvArtifactsDir+"="+files.artifacts(),
	)
	if files.code != "" {
		env = append(env, EnvCodeDir+"="+files.code)
	}
	if resumed {
		env = append(env, EnvResumed+"=1")
	}
	return dedupe(slices.Concat(env, a.dispatch.Recipe.Env, secret, w.gpuEnv(a))), nil
}

// dedupe keeps the last of equal names. NUL, which a task's id may hold and no environment, is left out.
func dedupe(env []string) []string {
	last := make(map[string]int, len(env))
	for i, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		last[name] = i
	}
	out := env[:0]
	for i, variable := range env {
		name, _, found := strings.Cut(variable, "=")
		if found && name != "" && last[name] == i {
			out = append(out, strings.ReplaceAll(variable, "\x00", ""))
		}
	}
	return out
}

// lookPath finds the program of a command as the command's own environment would: a bare name in its PATH, a relative path
// from dir.
func lookPath(program, dir string, env []string) (string, error) {
	if strings.ContainsRune(program, '/') {
		return executable(program, dir)
	}
	path := ""
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	for _, place := range filepath.SplitList(path) {
		if place == "" {
			place = "."
		}
		if found, err := executable(filepath.Join(place, program), dir); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%w: no program %q in PATH %q", exec.ErrNotFound, program, path)
}

func executable(path, dir string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return exec.LookPath(path)
}

// workingDir returns where the command runs: the task's source tree, or the recipe's directory, which must exist, or the
// attempt's own.
func workingDir(recipe *spec.Recipe, files attemptFiles) (string, error) {
	if files.code != "" {
		return files.code, nil
	}
	if recipe.Dir == "" {
		return files.dir, nil
	}
	dir, err := filepath.Abs(recipe.Dir)
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	status, err := os.Stat(dir)
	if err == nil && !status.IsDir() {
		err = &fs.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	return dir, nil
}

// readResult reads the file an experiment may have written; written says that there was one. The error names the file and
// the field, and is errTooLarge for a file that is not even read.
func readResult(path string, limit int64) (result spec.TaskResult, written bool, err error) {
	// A pipe in its place must not block.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return spec.TaskResult{}, false, nil
	}
	if err != nil {
		return spec.TaskResult{}, true, fmt.Errorf("result file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	status, err := file.Stat()
	if err == nil && !status.Mode().IsRegular() {
		err = fmt.Errorf("result file %s: not a regular file", path)
	}
	if err != nil {
		return spec.TaskResult{}, true, err
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%w: more than %d bytes; leave large data in files", errTooLarge, limit)
	}
	if err == nil {
		result, err = spec.DecodeResultFile(text)
	}
	if err != nil {
		return spec.TaskResult{}, true, fmt.Errorf("result file %s: %w", path, err)
	}
	return result, true, nil
}
