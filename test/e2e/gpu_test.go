//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// playedGPUs are two GPUs as nvidia-smi shows them; a file says which processes use them.
const playedGPUs = `case "$1" in
--query-gpu=*)
  echo 'GPU-one, NVIDIA H100, 00000000:3B:00.0, 580.65, 4, 0, Disabled'
  echo 'GPU-two, NVIDIA H100, 00000000:5D:00.0, 580.65, 4, 0, Disabled';;
--query-compute-apps=*) cat "$here/processes";;
esac
`

// playNVIDIA returns a folder with an nvidia-smi for PATH.
func playNVIDIA(t *testing.T) (dir string) {
	t.Helper()
	played, err := filepath.Abs("../../internal/gpu/testdata/nvidia-smi")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Symlink(played, filepath.Join(dir, "nvidia-smi")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "script"), playedGPUs)
	writeFile(t, filepath.Join(dir, "processes"), "")
	return dir
}

// TestGPUs: a worker with an nvidia-smi in its PATH gives each experiment a GPU, says what each result had, and what is
// wrong with the GPUs that it does not offer, which is told among the run's events too.
func TestGPUs(t *testing.T) {
	t.Parallel()
	dir := playNVIDIA(t)
	f := newFleet(t, 4, nil)
	f.workflow = f.lab.write("gpu.yaml", `
name: gpus
objective: {metric: loss, direction: minimize}
kinds:
  default:
    command: [/bin/sh, -c, 'echo "[autoresearch] loss=1"; echo "{{.payload.leave}}" > `+dir+`/processes; test "$CUDA_DEVICE_ORDER $CUDA_VISIBLE_DEVICES" = "PCI_BUS_ID {{.payload.want}}"']
    class: h100x1
initial:
  - {id: first, payload: {want: GPU-one, leave: "4711, GPU-one"}}
`)
	w := newWorkdir(t)
	f.trail.led = append(f.trail.led, w.dir)
	coordinator := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", w.dir)
	coordinator.awaitRole("leader")
	events := start(t, "autoresearch", "events", "--follow", "--after", "0", "--type", "change", "--server", coordinator.url)
	worker := startWith(t, dir, []string{"PATH=" + dir + ":" + os.Getenv("PATH")}, "worker", "--nats", f.nats.url(),
		"--dir", f.newWorkerDir(), "--slots", "auto", "--class", "h100x1", "--label", "zone=a", "--gpu-release", "200ms")
	await := func(want string, args ...string) {
		t.Helper()
		awaitSays(t, coordinator.url, want, args...)
	}
	await("completed", "show", "first")
	await("1 x NVIDIA H100, driver 580.65", "show", "first")
	await(`"GPU-one"`, "show", "first", "-o", "json")
	await("2 x NVIDIA H100", "workers")
	await("zone=a", "workers")
	await("GPU-one on", "workers")
	await("held by process 4711", "workers")
	ask(t, "submit", "--server", coordinator.url, "--id", "second", "--payload", `{"want": "GPU-two", "leave": "4711, GPU-one"}`)
	await("completed", "show", "second")
	coordinator.says("a worker has quarantined a GPU.*GPU-one")
	worker.says("GPUs are quarantined")
	coordinator.awaitMetric(`autoresearch_gpus{class="h100x1",state="quarantined"}`, 1)

	const told = `GPU GPU-one of class h100x1 by \S+`
	events.says("quarantine " + told + " because: GPU-one is held by process 4711")
	ask(t, "submit", "--server", coordinator.url, "--id", "third", "--payload", `{"want": "GPU-two", "leave": ""}`)
	events.says("release " + told)
	await(`"gpu":"GPU-one"`, "events", "--type", "change", "-o", "json")
}
