//go:build unix

package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// LockFile is the name of the lock file in a workdir.
const LockFile = ".lock"

// ErrLocked is wrapped by the error of Lock when another process (or another Lock of this one) holds the workdir.
var ErrLocked = errors.New("workdir is locked")

// WorkdirLock is the right to write the files of a workdir. It ends with Unlock or with the process, however that dies.
type WorkdirLock struct {
	mu   sync.Mutex
	file *os.File // nil once unlocked
}

// Lock takes the lock of a workdir, without waiting; it makes the workdir if there is none. When somebody holds it, the
// error wraps ErrLocked and says who, and what to do.
func Lock(workdir string) (*WorkdirLock, error) {
	if err := os.MkdirAll(workdir, 0o755); err != nil {
		return nil, fmt.Errorf("lock workdir: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(workdir, LockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock workdir: %w", err)
	}
	err = flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w: %s is in use by %s; stop that engine, or use another workdir", ErrLocked, workdir, holder(file))
		return nil, errors.Join(err, file.Close())
	}
	if err == nil {
		err = writeHolder(file)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock workdir %s: %w", workdir, err), file.Close())
	}
	return &WorkdirLock{file: file}, nil
}

// Unlock gives the lock back. Only the first call does anything. The lock file stays: removing it would let two
// processes lock two files of one name.
func (l *WorkdirLock) Unlock() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	// To close the file is not enough: a process that is being started has it too, until it is another program.
	if err := errors.Join(file.Truncate(0), flock(file, syscall.LOCK_UN), file.Close()); err != nil {
		return fmt.Errorf("unlock workdir: %w", err)
	}
	return nil
}

// flock is syscall.Flock, again after an interruption.
func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// writeHolder says in the lock file who holds it.
func writeHolder(file *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(fmt.Appendf(nil, "pid %d on %s\n", os.Getpid(), host), 0)
	return err
}

// holder returns what the lock file says, which may be nothing yet.
func holder(file *os.File) string {
	const limit = 256
	text, err := io.ReadAll(io.LimitReader(file, limit))
	line, _, _ := strings.Cut(string(text), "\n")
	if err != nil || line == "" {
		return "another process"
	}
	return line
}
