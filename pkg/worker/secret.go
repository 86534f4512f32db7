package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"autoresearch/pkg/spec"
)

// secretMax bounds the value of a secret, in bytes: the kernel takes no larger variable.
const secretMax = 64 << 10

// secrets returns the variables of the secrets that a recipe refers to. Nothing but the command's environment ever holds their
// values, and an error names only the reference.
func secrets(recipe *spec.Recipe) ([]string, error) {
	env := make([]string, 0, len(recipe.Secrets))
	for _, s := range recipe.Secrets {
		value, err := secret(s)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", s.Name, err)
		}
		env = append(env, s.Name+"="+value)
	}
	return env, nil
}

// secret reads one value. A file's last line end is not part of it.
func secret(s spec.Secret) (string, error) {
	if err := s.Validate(); err != nil { // the recipe may be another version's, or forged
		return "", err
	}
	if s.Env != "" {
		if value := os.Getenv(s.Env); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the worker's environment has no %s, or an empty one: set it where the worker is started", s.Env)
	}
	text, err := readSecret(s.File)
	switch {
	case err != nil:
		return "", err
	case len(text) == 0:
		return "", fmt.Errorf("the worker's file %s is empty", s.File)
	case len(text) > secretMax:
		return "", fmt.Errorf("the worker's file %s has more than %d bytes", s.File, secretMax)
	case bytes.IndexByte(text, 0) >= 0:
		return "", fmt.Errorf("the worker's file %s holds a zero byte, which no variable can", s.File)
	}
	return string(text), nil
}

// readSecret reads the file of a secret, or somewhat more than a secret may be.
func readSecret(path string) (text []byte, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place must not block
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the worker's machine has no file %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("on the worker's machine: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if status, err := file.Stat(); err != nil || !status.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s on the worker's machine is not a regular file", path))
	}
	text, err = io.ReadAll(io.LimitReader(file, secretMax+3))
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	return text, err
}
