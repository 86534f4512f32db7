package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Secret says where a worker finds a value that nobody else is to know, and under which name an experiment gets it in its
// environment. Only this reference travels and is stored; the value never leaves the worker's machine.
type Secret struct {
	// Name is the variable of the experiment.
	Name string
	// Env is a variable of the worker's own environment. File is a file on the worker's machine, an absolute path. One of
	// them is set.
	Env  string
	File string
}

// WorkerEnvPrefix begins the names of variables that are the worker's own business: its settings, and what it tells experiments.
const WorkerEnvPrefix = "AUTORESEARCH_"

// Validate says what is wrong with the reference, not naming the secret.
func (s Secret) Validate() error {
	switch {
	case s.Name == "" || strings.ContainsAny(s.Name, "=\x00"):
		return errors.New(`an environment variable's name is not empty and has no "=" in it`)
	case strings.HasPrefix(s.Name, WorkerEnvPrefix), strings.HasPrefix(s.Env, WorkerEnvPrefix):
		return fmt.Errorf("names that begin with %s are the worker's own", WorkerEnvPrefix)
	case (s.Env == "") == (s.File == ""):
		return errors.New("say where the worker finds it: {env: NAME} for a variable of its environment, or {file: /PATH}")
	case s.File != "" && !filepath.IsAbs(s.File):
		return fmt.Errorf("%q is not an absolute path: it is looked up on the worker's machine", s.File)
	}
	return nil
}
