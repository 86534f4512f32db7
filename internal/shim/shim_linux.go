package shim

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func init() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case Name:
		syscall.Exit(run()) // not os.Exit: what a program does at its end is not the shim's
	case limitName:
		syscall.Exit(limit(os.Args[1:]))
	}
}

// run is the life of a shim.
func run() (code int) {
	syscall.CloseOnExec(jobFD)
	syscall.CloseOnExec(eventsFD)
	s := &shim{control: os.NewFile(jobFD, "job"), events: os.NewFile(eventsFD, "events")}
	if err := becomeSubreaper(); err != nil {
		return s.failed("become a subreaper", err)
	}
	orphaned := make(chan os.Signal, 1)
	signal.Notify(orphaned, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	job, err := s.readJob()
	if err != nil {
		return s.failed("read the job", err)
	}
	if err := s.start(job); err != nil {
		return s.failed(startOp(err), err)
	}
	go s.obey()
	go func() {
		<-orphaned
		s.tree.kill()
	}()
	s.wait()
	return 0
}

// shim is the process between a worker and an experiment.
type shim struct {
	control, events *os.File
	tree            tree
}

// say tells the worker, who may be gone.
func (s *shim) say(e Event) { _, _ = s.events.Write(e.line()) }

func (s *shim) failed(op string, err error) (code int) {
	errno := syscall.EINVAL
	errors.As(err, &errno)
	s.say(Event{Kind: Failed, Op: op, Errno: errno})
	return 1
}

// startOp names the step of a start that failed.
func startOp(err error) string {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path.Op + " " + path.Path
	}
	return "start"
}

func (s *shim) readJob() (*Job, error) {
	length := make([]byte, lengthDigits)
	if _, err := io.ReadFull(s.control, length); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(string(length), 10, 31)
	if err != nil {
		return nil, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s.control, body); err != nil {
		return nil, err
	}
	return decodeJob(body)
}

// start starts the experiment in a process group of its own. Its own process dies with the shim, should that be killed.
func (s *shim) start(job *Job) error {
	syscall.Umask(job.Umask)
	path, argv := job.Path, job.Argv
	if job.Limits != (Limits{}) {
		path, argv = Path, limitArgv(job.Limits, path, argv)
	}
	process, err := os.StartProcess(path, argv, &os.ProcAttr{
		Dir: job.Dir, Env: job.Env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return err
	}
	s.tree.root = process.Pid
	s.say(Event{Kind: Started, PID: process.Pid})
	return process.Release()
}

// obey follows the worker's orders. Their end is the worker's.
func (s *shim) obey() {
	order := make([]byte, 1)
	for {
		n, err := s.control.Read(order)
		switch {
		case n == 0 && err != nil, order[0] == Kill:
			s.tree.kill()
			return
		case order[0] == Terminate:
			s.tree.terminate()
		}
	}
}

// wait reaps until the experiment and all it left have ended.
func (s *shim) wait() {
	for {
		pid, status, ok := s.tree.reap()
		if !ok {
			break
		}
		if pid == s.tree.root {
			s.say(exitedEvent(status))
			if s.tree.any() {
				s.tree.kill()
			}
		}
	}
	s.say(Event{Kind: Gone, Usage: s.usage()})
}

func exitedEvent(status syscall.WaitStatus) Event {
	if status.Signaled() {
		return Event{Kind: Exited, Code: -1, Signal: status.Signal()}
	}
	return Event{Kind: Exited, Code: status.ExitStatus()}
}

func (s *shim) usage() Usage {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_CHILDREN, &r) // fails for bad arguments only
	return Usage{
		User: time.Duration(r.Utime.Nano()), System: time.Duration(r.Stime.Nano()), MaxRSS: r.Maxrss << 10,
		Killed: s.tree.strays(),
	}
}
