package shim

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	// limitName is the name under which a program limits itself and becomes another.
	limitName = "autoresearch-limit"
	// cpuPatience is the time between SIGXCPU and SIGKILL.
	cpuPatience = 5 * time.Second
	// exitNotFound is the exit status of a shell that cannot execute a program.
	exitNotFound = 127
)

// limitArgv is the command that applies limits and then becomes path with argv.
func limitArgv(l Limits, path string, argv []string) []string {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	seconds := number(uint64((l.CPU + time.Second - 1) / time.Second))
	return append([]string{limitName, number(l.Memory), number(l.OpenFiles), seconds, path}, argv...)
}

// limit is the process that limits itself. It returns only when it cannot become the experiment.
func limit(args []string) (code int) {
	const limits = 3
	if len(args) < limits+2 {
		return complain("start", syscall.EINVAL)
	}
	for i, resource := range [limits]int{syscall.RLIMIT_AS, syscall.RLIMIT_NOFILE, rlimitCPU} {
		value, err := strconv.ParseUint(args[i], 10, 64)
		if err == nil && value > 0 {
			err = setLimit(resource, value)
		}
		if err != nil {
			return complain("limit itself", err)
		}
	}
	path, argv := args[limits], args[limits+1:]
	return complain("execute "+path, syscall.Exec(path, argv, os.Environ()))
}

// complain says on standard error what failed.
func complain(op string, err error) (code int) {
	_, _ = os.Stderr.WriteString(limitName + ": " + op + ": " + err.Error() + "\n") // there is nobody else to tell
	return exitNotFound
}

// setLimit lowers a limit; one that is lower already stays.
func setLimit(resource int, value uint64) error {
	var held syscall.Rlimit
	if err := syscall.Getrlimit(resource, &held); err != nil {
		return err
	}
	hard := value
	if resource == rlimitCPU {
		hard += uint64(cpuPatience / time.Second)
	}
	return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: min(value, held.Max), Max: min(hard, held.Max)})
}
