package gpu

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// KernelLog is where the kernel's log can be read by whoever may.
const KernelLog = "/dev/kmsg"

// faults are the Xid errors that tell of the hardware and not of the program that ran on it.
var faults = map[int]string{
	48: "double bit ECC error", 61: "internal micro-controller breakpoint", 62: "internal micro-controller halt",
	63: "a row is to be remapped", 64: "a row cannot be remapped", 74: "NVLink error", 79: "fallen off the bus",
	92: "high rate of single bit ECC errors", 94: "contained ECC error", 95: "uncontained ECC error",
	119: "the GPU's own processor does not answer", 120: "error of the GPU's own processor", 140: "unrecovered ECC error",
}

var xidLine = regexp.MustCompile(`NVRM: Xid \(PCI:([0-9a-fA-F:]+)[^)]*\): (\d+)`)

// XIDs reads Xid errors from the kernel's log, from the moment it was opened on.
type XIDs struct {
	fd   int
	rest []byte
}

// OpenXIDs opens a kernel's log.
func OpenXIDs(path string) (*XIDs, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	const fromEnd = 2
	if _, err := syscall.Seek(fd, 0, fromEnd); err != nil {
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return &XIDs{fd: fd}, nil
}

// News returns the hardware faults that were logged since the last call, by PCI address. It does not wait.
func (x *XIDs) News() map[string]string {
	found := map[string]string{}
	buf := make([]byte, 8<<10) // the kernel gives one record a read, and none in part
	for {
		n, err := syscall.Read(x.fd, buf)
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EINTR):
			continue // records were overwritten before they were read
		case n <= 0:
			return found
		}
		x.rest = append(x.rest, buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(x.rest, []byte("\n"))
			if !whole {
				break
			}
			x.rest = rest
			note(found, string(line))
		}
		x.rest = bytes.Clone(x.rest)
	}
}

func note(found map[string]string, line string) {
	match := xidLine.FindStringSubmatch(line)
	if match == nil {
		return
	}
	code, _ := strconv.Atoi(match[2]) // too large a number is no known code
	if what, fault := faults[code]; fault {
		found[strings.ToLower(match[1])] = "Xid " + match[2] + " (" + what + ")"
	}
}

// Close ends the reading.
func (x *XIDs) Close() error { return syscall.Close(x.fd) }
