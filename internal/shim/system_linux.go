package shim

import (
	"syscall"
	"unsafe"
)

// What package syscall lacks. Package unix has it, and would have the shim wait for the initialisation of others.
const (
	prSetChildSubreaper = 36
	pAll                = 0
	wNoWait             = 0x01000000
	rlimitCPU           = 0
)

// becomeSubreaper makes this process the parent of its descendants' orphans.
func becomeSubreaper() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	return nil
}

// awaitChild waits until a child has ended, and leaves it to be reaped. With syscall.WNOHANG it does not wait. The error is
// ECHILD when there is none.
func awaitChild(options int) error {
	var info [128]byte // siginfo_t; which child it is wait4 tells
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)),
			uintptr(syscall.WEXITED|wNoWait|options), 0, 0)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return errno
		}
	}
}
