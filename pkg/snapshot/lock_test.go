//go:build unix

package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// lockEnv, when set, makes the test binary a process that holds the lock of that workdir until its input ends.
const lockEnv = "SNAPSHOT_TEST_LOCK"

func TestMain(m *testing.M) {
	if workdir := os.Getenv(lockEnv); workdir != "" {
		if err := holdLock(workdir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func holdLock(workdir string) error {
	if _, err := Lock(workdir); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func TestLockOfAnotherProcess(t *testing.T) {
	t.Parallel()
	workdir := filepath.Join(t.TempDir(), "work")
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), lockEnv+"="+workdir)
	command.Stderr = os.Stderr
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	_, err = Lock(workdir)
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("locked twice: %v", err)
	}
	for _, part := range []string{workdir, "pid " + strconv.Itoa(command.Process.Pid), "stop that engine"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
	// The lock dies with its process.
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil {
		t.Error("the other process was not killed")
	}
	lock, err := Lock(workdir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestLockAndUnlock(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	lock, err := Lock(workdir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(workdir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d on ", os.Getpid())) {
		t.Errorf("second lock: %v", err)
	}
	for range 2 {
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
	}
	if lock, err = Lock(workdir); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

func TestLockOfNoDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	mustWrite(t, file, "x")
	if _, err := Lock(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v", err)
	}
}
