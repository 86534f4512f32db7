package worker

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"autoresearch/pkg/spec"
)

// The files of Options.Dir.
const (
	identityFileName = "worker.json"
	lockFileName     = "worker.lock"
	spoolFileName    = "spool.log"
	attemptLogName   = "attempts.log"
	attemptsDirName  = "attempts"
)

// identity says which worker this is, in worker.json.
type identity struct {
	// ID is the worker's name: as configured, or drawn once from the host's name and a random part.
	ID spec.WorkerID `json:"id"`
	// Boot counts the starts, from 1.
	Boot uint64 `json:"boot"`
}

// ErrDirInUse says that another worker process holds the directory.
var ErrDirInUse = errors.New("the directory is in use by another worker")

// lockDir takes the directory for this process; unlockDir, or the end of the process, gives it back.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFileName)
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock worker directory: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("%w: %s is locked; give each worker of a machine a directory of its own", ErrDirInUse, path)
	default:
		err = fmt.Errorf("lock %s: %w", path, err)
	}
	return nil, errors.Join(err, lock.Close())
}

// unlockDir gives the directory back. Closing the file alone would not, while a child that is just being started has it.
func unlockDir(lock *os.File) error {
	return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close())
}

// nextIdentity reads worker.json, counts this start, and writes it back durably before anything is said under it. A file
// that is no identity is put aside and the worker takes a new name; damaged then says what was wrong with it. name is the
// configured name, "" for one that is drawn, and group the group that the worker belongs to from now on, "" for none.
func nextIdentity(dir string, name spec.WorkerID, group, host string) (who identity, damaged, err error) {
	path := filepath.Join(dir, identityFileName)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		who = newIdentity(host)
	case err != nil:
		return identity{}, nil, fmt.Errorf("read worker identity: %w", err)
	default:
		who, damaged = parseIdentity(data)
	}
	if damaged != nil {
		damaged = fmt.Errorf("%s: %w", path, damaged)
		if err := os.Rename(path, path+".damaged"); err != nil {
			return identity{}, damaged, fmt.Errorf("put a damaged worker identity aside: %w", err)
		}
		who = newIdentity(host)
	}
	if name != "" {
		who.ID = name
	}
	if group != "" || name == "" {
		_, own := who.ID.Split()
		who.ID = spec.WorkerOf(group, own)
	}
	who.Boot++
	return who, damaged, who.save(path)
}

func parseIdentity(data []byte) (who identity, err error) {
	if err = json.Unmarshal(data, &who); err == nil && who.ID == "" {
		err = errors.New("field id is empty")
	}
	return who, err
}

func (who identity) save(path string) error {
	data, err := json.MarshalIndent(who, "", "  ")
	if err == nil {
		err = writeFileSync(path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write worker identity: %w", err)
	}
	return nil
}

// newIdentity draws a name that people can tell a machine from.
func newIdentity(host string) identity {
	name := strings.Map(plainRune, host)
	if name == "" {
		name = "worker"
	}
	return identity{ID: spec.WorkerID(clipText(name, 40) + "-" + strings.ToLower(rand.Text()[:10]))}
}

// plainRune drops what subjects would have to encode.
func plainRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
		return r
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r == '.', r == '_':
		return '-'
	}
	return -1
}
