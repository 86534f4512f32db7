//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// diskSize is how much a disk holds, in bytes.
const diskSize = 8 << 20

// disk is a small file system in memory, which a test fills.
type disk struct {
	t   *testing.T
	dir string
}

// mountDisk makes a disk. What is mounted before a fleet is made is there until the fleet's trail was looked at.
func mountDisk(t *testing.T) disk {
	t.Helper()
	d := disk{t: t, dir: t.TempDir()}
	err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("no file system can be mounted here, so none can be full:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount a disk: %v", err)
		}
	})
	return d
}

// fill leaves no byte free: the disk shrinks to what is used, which somebody may be adding to meanwhile.
func (d disk) fill() {
	d.t.Helper()
	for {
		var status syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &status); err != nil {
			d.t.Fatal(err)
		}
		used := max(1, (status.Blocks-status.Bfree)*uint64(status.Bsize)) // 0 would be no bound
		err := d.resize(used)
		if err == nil {
			return
		}
		if !errors.Is(err, syscall.EINVAL) {
			d.t.Fatal(err)
		}
	}
}

// free gives the disk its size back.
func (d disk) free() {
	d.t.Helper()
	if err := d.resize(diskSize); err != nil {
		d.t.Fatal(err)
	}
}

func (d disk) resize(bytes uint64) error {
	return syscall.Mount("", d.dir, "", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", bytes))
}

// TestDiskFullUnderAWorker fills the disk of a worker whose experiments run: they go on to their ends, and their results
// come at once. Of those that end while NATS is away as well, the worker keeps the results in memory, puts them on its
// disk as soon as there is room, and the next start on that disk brings them.
func TestDiskFullUnderAWorker(t *testing.T) {
	t.Parallel()
	disk := mountDisk(t)
	all := append(tasks(2, "soon%d", payload{"gate": "soon", "no_file": true}),
		tasks(2, "late%d", payload{"gate": "late", "no_file": true})...)
	f := newFleet(t, 4, all)
	w := newWorkdir(t)
	dir := filepath.Join(disk.dir, "worker")
	worker := f.worker(dir, 4)
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(4)

	disk.fill()
	f.lab.open("soon")
	coordinator.awaitMetric(`autoresearch_tasks{state="completed"}`, 2)
	f.nats.kill()
	f.lab.open("late")
	f.lab.awaitEnded(4)
	worker.awaitMetric("autoresearch_worker_unreceipted_results", 2)
	worker.awaitMetric("autoresearch_worker_spool_entries", 0)
	worker.says("cannot write results to the spool")
	disk.free()
	worker.awaitMetric("autoresearch_worker_spool_entries", 2)
	worker.kill()
	f.nats.restart()
	f.worker(dir, 4).says("results of an earlier start wait in the spool.*results=2")
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}
