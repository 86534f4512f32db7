//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// diskSize is the size of a member's disk, in bytes. Of its memory only what is written is used.
const diskSize = 2 << 30

// disk is a small file system in memory, of one member's own.
type disk struct{ path string }

// mountDisk makes a disk at a path.
func mountDisk(path string) (disk, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return disk{}, err
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		return disk{}, fmt.Errorf("mount a disk at %s: %w", path, err)
	}
	return disk{path}, nil
}

// fill leaves no byte free: the disk shrinks to what is used, which somebody may be adding to meanwhile.
func (d disk) fill() error {
	for {
		var status unix.Statfs_t
		if err := unix.Statfs(d.path, &status); err != nil {
			return fmt.Errorf("look up the disk at %s: %w", d.path, err)
		}
		used := max(1, (status.Blocks-status.Bfree)*uint64(status.Bsize)) // 0 would be no bound
		if err := d.resize(used); !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
}

// free gives the disk its size back.
func (d disk) free() error { return d.resize(diskSize) }

func (d disk) resize(bytes uint64) error {
	if err := unix.Mount("", d.path, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", bytes)); err != nil {
		return fmt.Errorf("resize the disk at %s to %d bytes: %w", d.path, bytes, err)
	}
	return nil
}
