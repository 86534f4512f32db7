package shim

import (
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// tree is the experiment and all that descends from it. Its methods may be called concurrently, but for reap, which is the
// main loop's.
type tree struct {
	root int // the experiment's own process

	mu      sync.Mutex // held while a process is reaped or signalled, so that a number is never a stranger's
	ended   bool       // the root was reaped
	killing bool
	killed  map[int]bool // children that got SIGKILL and are not the root
}

// The pauses between two looks for children: the tree is killed from its root, one generation a look.
const (
	lookFirst = 500 * time.Microsecond
	lookLast  = time.Second
)

// reap waits for the end of any child and reaps it; ok is false when there is none left.
func (t *tree) reap() (pid int, status syscall.WaitStatus, ok bool) {
	for {
		if awaitChild(0) != nil {
			return 0, 0, false
		}
		t.mu.Lock()
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		t.ended = t.ended || pid == t.root
		t.mu.Unlock()
		if err == nil && pid > 0 {
			return pid, status, true
		}
	}
}

// any reports whether there is any child left.
func (t *tree) any() bool {
	return awaitChild(syscall.WNOHANG) == nil
}

// terminate sends SIGTERM to the experiment's process group.
func (t *tree) terminate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		_ = syscall.Kill(-t.root, syscall.SIGTERM) // it may have moved to another group
	}
}

// kill begins to kill what is left, and goes on until the process ends.
func (t *tree) kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.killing {
		return
	}
	t.killing, t.killed = true, map[int]bool{}
	go func() {
		for pause := lookFirst; ; pause = min(2*pause, lookLast) {
			if t.killChildren() {
				pause = lookFirst
			}
			time.Sleep(pause)
		}
	}()
}

// killChildren sends SIGKILL to every child and reports whether one of them had not got it before.
func (t *tree) killChildren() (fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	eachChild(func(pid int) {
		if syscall.Kill(pid, syscall.SIGKILL) == nil && pid != t.root && !t.killed[pid] {
			t.killed[pid], fresh = true, true
		}
	})
	return fresh
}

// strays returns how many children were killed beside the experiment itself.
func (t *tree) strays() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.killed)
}

// eachChild calls f for every child of this process as soon as it is found: what forks without end must be met in time.
// Kernels without lists of children are searched whole.
func eachChild(f func(pid int)) {
	self := strconv.Itoa(os.Getpid())
	threads := names("/proc/self/task")
	listed := false
	for _, thread := range threads {
		list, err := os.ReadFile("/proc/self/task/" + thread + "/children")
		listed = listed || err == nil
		for _, field := range split(string(list), ' ') {
			if pid, err := strconv.Atoi(field); err == nil {
				f(pid)
			}
		}
	}
	if listed {
		return
	}
	for _, name := range names("/proc") {
		if pid, err := strconv.Atoi(name); err == nil && parentOf(name) == self {
			f(pid)
		}
	}
}

// names returns what a folder of /proc holds; one that cannot be read holds nothing.
func names(dir string) []string {
	file, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = file.Close() }() // only read
	all, _ := file.Readdirnames(-1)     // what was read before an error is of use
	return all
}

// parentOf returns the number of a process's parent; "" when it is gone.
func parentOf(pid string) string {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	// pid (name) state ppid ...; the name may hold anything.
	after := len(stat)
	for after > 0 && stat[after-1] != ')' {
		after--
	}
	fields := split(string(stat[after:]), ' ')
	if len(fields) < 3 {
		return ""
	}
	return fields[2]
}
