package shim

import (
	"errors"
	"strconv"
	"syscall"
	"time"
)

// Name is the name (argument 0) under which a program is a shim.
const Name = "autoresearch-shim"

// Path is this very program, even where its file was replaced.
const Path = "/proc/self/exe"

// The files that a shim begins with, beside the experiment's standard ones.
const (
	jobFD    = 3 + iota // a Job, then orders
	eventsFD            // Events
)

// Job is what to run.
type Job struct {
	// Path is the program, resolved; Dir the working directory.
	Path, Dir string
	Argv, Env []string
	// Umask is the mask of the files it makes.
	Umask  int
	Limits Limits
}

// Limits bound each process of the experiment; 0 is no limit.
type Limits struct {
	// Memory is its address space in bytes.
	Memory uint64
	// OpenFiles is how many files it may have open.
	OpenFiles uint64
	// CPU is the processor time it may use, in whole seconds: then it gets SIGXCPU, and SIGKILL a little later.
	CPU time.Duration
}

// The orders of a worker.
const (
	// Terminate sends SIGTERM to the process group of the experiment.
	Terminate = 'T'
	// Kill sends SIGKILL to all that is left.
	Kill = 'K'
)

// A job travels as its length and its texts, each ended by a NUL, which no argument or variable of a process can hold.
const (
	lengthDigits = 10
	fixedTexts   = 7 // before the arguments and the environment
)

// Encode returns the job as the shim reads it. A NUL in a text is an error, as it would be for the kernel.
func (j *Job) Encode() ([]byte, error) {
	texts := append([]string{
		j.Path, j.Dir, strconv.Itoa(j.Umask), strconv.FormatUint(j.Limits.Memory, 10),
		strconv.FormatUint(j.Limits.OpenFiles, 10), strconv.FormatInt(int64(j.Limits.CPU), 10), strconv.Itoa(len(j.Argv)),
	}, j.Argv...)
	var body []byte
	for _, text := range append(texts, j.Env...) {
		if index(text, 0) >= 0 {
			return nil, syscall.EINVAL
		}
		body = append(append(body, text...), 0)
	}
	length := strconv.Itoa(len(body))
	for len(length) < lengthDigits {
		length = "0" + length
	}
	return append([]byte(length), body...), nil
}

var errMalformed = errors.New("malformed job")

// decodeJob reads the body of an encoded job.
func decodeJob(body []byte) (*Job, error) {
	texts := split(string(body), 0)
	if len(texts) < fixedTexts+1 {
		return nil, errMalformed
	}
	texts = texts[:len(texts)-1] // the last NUL ends the last text
	umask, err1 := strconv.Atoi(texts[2])
	memory, err2 := strconv.ParseUint(texts[3], 10, 64)
	files, err3 := strconv.ParseUint(texts[4], 10, 64)
	cpu, err4 := strconv.ParseInt(texts[5], 10, 64)
	argc, err5 := strconv.Atoi(texts[6])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	if argc < 1 || fixedTexts+argc > len(texts) {
		return nil, errMalformed
	}
	return &Job{
		Path: texts[0], Dir: texts[1], Umask: umask,
		Limits: Limits{Memory: memory, OpenFiles: files, CPU: time.Duration(cpu)},
		Argv:   texts[fixedTexts : fixedTexts+argc], Env: texts[fixedTexts+argc:],
	}, nil
}

// Package strings would have the shim wait for the initialisation of others.

func index(text string, mark byte) int {
	for i := range len(text) {
		if text[i] == mark {
			return i
		}
	}
	return -1
}

func split(text string, mark byte) (parts []string) {
	for {
		end := index(text, mark)
		if end < 0 {
			return append(parts, text)
		}
		parts, text = append(parts, text[:end]), text[end+1:]
	}
}
