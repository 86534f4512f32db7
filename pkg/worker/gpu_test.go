package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

const gpuClass = "h100x1"

// playedGPUs is an nvidia-smi whose answers a test chooses.
type playedGPUs struct {
	t   *testing.T
	dir string
}

// playGPUs returns an nvidia-smi that shows so many GPUs, all well: GPU-0, GPU-1 and so on.
func playGPUs(t *testing.T, count int) *playedGPUs {
	t.Helper()
	played, err := filepath.Abs("../../internal/gpu/testdata/nvidia-smi")
	if err != nil {
		t.Fatal(err)
	}
	p := &playedGPUs{t: t, dir: t.TempDir()}
	if err := os.Symlink(played, p.program()); err != nil {
		t.Fatal(err)
	}
	p.write("script", `case "$1" in --query-gpu=*) cat "$here/gpus";; --query-compute-apps=*) cat "$here/processes";; esac`)
	p.write("processes", "")
	p.show(make([]string, count)...)
	return p
}

func (p *playedGPUs) program() string { return filepath.Join(p.dir, "nvidia-smi") }

// write replaces what nvidia-smi reads, at once.
func (p *playedGPUs) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		p.t.Fatal(err)
	}
}

// show says how the GPUs are: their memory in use and ECC errors; "" is well.
func (p *playedGPUs) show(states ...string) {
	p.t.Helper()
	var text strings.Builder
	for n, state := range states {
		if state == "" {
			state = "4, 0"
		}
		fmt.Fprintf(&text, "GPU-%d, NVIDIA H100, 00000000:%02d:00.0, 580.65, %s, Disabled\n", n, n+1, state)
	}
	p.write("gpus", text.String())
}

// with gives a worker the played GPUs in slots of gpuClass.
func (p *playedGPUs) with(change ...func(*GPUSlots)) func(*Options) {
	return func(o *Options) {
		o.GPUs = &GPUSlots{
			Class: gpuClass, Program: p.program(), KernelLog: filepath.Join(p.dir, "kmsg"), Release: 200 * time.Millisecond,
			every: 20 * time.Millisecond, Required: true,
		}
		for _, c := range change {
			c(o.GPUs)
		}
	}
}

// onGPU has the task dispatched to the GPU slots.
func onGPU(d *bus.Dispatch) { d.Class = gpuClass }

// awaitFree waits until so many slots with GPUs are offered.
func (b *bench) awaitFree(free int) {
	b.t.Helper()
	b.until(fmt.Sprint(free, " slots with GPUs are free"), func() bool {
		return slices.ContainsFunc(b.lastBeat().Slots, func(s bus.ClassSlots) bool { return s.Class == gpuClass && s.Free == free })
	})
}

// gpuState returns what the newest heartbeat says of a GPU.
func (b *bench) gpuState(uuid string) spec.GPUStatus {
	for _, g := range b.lastBeat().GPUs {
		if g.UUID == uuid {
			return g
		}
	}
	return spec.GPUStatus{}
}

func (b *bench) awaitGPU(uuid, state, reason string) {
	b.t.Helper()
	b.until(uuid+" is "+state, func() bool {
		g := b.gpuState(uuid)
		return g.State == state && strings.Contains(g.Reason, reason)
	})
}

// TestGPUSlots: each slot has GPUs of its own, an experiment sees those and no other, whatever its kind's environment says,
// and its result names them.
func TestGPUSlots(t *testing.T) {
	t.Parallel()
	played := playGPUs(t, 5)
	b := startBench(t, played.with(func(g *GPUSlots) { g.PerSlot = 2 }))
	b.awaitFree(2)
	for _, task := range []spec.TaskID{"a", "b"} {
		b.give(dispatch(task, onGPU, script("print [autoresearch] ${CUDA_VISIBLE_DEVICES} ${CUDA_DEVICE_ORDER}", "forever"),
			func(d *bus.Dispatch) {
				d.Recipe.Env = append(d.Recipe.Env, "CUDA_VISIBLE_DEVICES=0,1,2,3", "CUDA_DEVICE_ORDER=FASTEST_FIRST")
			}))
	}
	var seen []string
	b.until("both say what they see", func() bool {
		seen = nil
		for _, h := range b.lastBeat().Running {
			if h.Progress != "" && h.GPUs == 2 {
				seen = append(seen, h.Progress)
			}
		}
		return len(seen) == 2
	})
	slices.Sort(seen)
	if want := []string{"GPU-0,GPU-1 PCI_BUS_ID", "GPU-2,GPU-3 PCI_BUS_ID"}; !slices.Equal(seen, want) {
		t.Errorf("they see %q", seen)
	}
	b.give(dispatch("none", script(`print [autoresearch] cpu=0 "${CUDA_VISIBLE_DEVICES}"`)))
	if _, result := b.report("none", 1); !result.Hardware.IsZero() {
		t.Errorf("a CPU slot had %+v", result.Hardware)
	}
	b.stop()
	_, result := b.report("a", 1)
	if h := result.Hardware; h.GPU != "NVIDIA H100" || h.Driver != "580.65" || len(h.GPUs) != 2 || result.Host == "" {
		t.Errorf("it ran on %+v of %q", h, result.Host)
	}
}

// TestGPUHeld: GPUs that an ended attempt leaves in use are quarantined, and offered again once they are as they were.
func TestGPUHeld(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]struct {
		hold, free func(p *playedGPUs)
		reason     string
	}{
		"process": {
			func(p *playedGPUs) { p.write("processes", "4711, GPU-0") }, func(p *playedGPUs) { p.write("processes", "") },
			"held by process 4711",
		},
		"memory": {func(p *playedGPUs) { p.show("40000, 0", "") }, func(p *playedGPUs) { p.show("200, 0", "") }, "40000 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			played, registry := playGPUs(t, 2), prometheus.NewRegistry()
			b := startBench(t, played.with(), func(o *Options) { o.Registerer = registry })
			b.awaitFree(2)
			b.give(dispatch("a", onGPU, script("await")))
			b.until("it runs", func() bool { return b.gpuState("GPU-0").State == spec.GPUBusy })
			leave.hold(played)
			b.tell(bus.Answer{Epoch: 1, Stop: []bus.StopOrder{{AttemptRef: b.awaitStart("a"), Reason: spec.CauseCancelled}}})
			if report, _ := b.report("a", 1); report.Failure.Cause() != spec.CauseCancelled {
				t.Errorf("the result is %+v", report.Failure)
			}
			b.awaitGPU("GPU-0", spec.GPUQuarantined, leave.reason)
			if free := b.lastBeat().Slots; !slices.Contains(free, bus.ClassSlots{Class: gpuClass, Total: 2, Free: 1}) {
				t.Errorf("slots are %+v", free)
			}
			b.until("it is counted", func() bool { return readMetric(t, registry, metricPrefix+"gpu_quarantines_total")[""] == 1 })
			if got := readMetric(t, registry, metricPrefix+"gpus")[gpuClass+" "+spec.GPUQuarantined]; got != 1 {
				t.Errorf("%v GPUs are counted as quarantined", got)
			}
			leave.free(played)
			b.awaitFree(2)
		})
	}
}

// TestGPUHealth: a GPU that is sick, gone, or has a hardware fault in the kernel's log is not offered.
func TestGPUHealth(t *testing.T) {
	t.Parallel()
	played := playGPUs(t, 4)
	log := filepath.Join(played.dir, "kmsg")
	played.write("kmsg", "")
	b := startBench(t, played.with())
	b.awaitFree(4)
	played.show("4, 2", "[GPU requires reset], 0", "")
	file, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("3,9,9,-;NVRM: Xid (PCI:0000:03:00): 79, GPU has fallen off the bus.\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	b.awaitGPU("GPU-0", spec.GPUQuarantined, "2 uncorrected ECC errors")
	b.awaitGPU("GPU-1", spec.GPUQuarantined, "requires reset")
	b.awaitGPU("GPU-2", spec.GPUQuarantined, "Xid 79")
	b.awaitGPU("GPU-3", spec.GPUQuarantined, "does not list")
	b.awaitFree(0)
	played.show("", "", "", "")
	b.awaitFree(3) // what the kernel logged stands
}

// TestGPUFaultWhileRunning: an attempt whose GPU fails under it fails of that.
func TestGPUFaultWhileRunning(t *testing.T) {
	t.Parallel()
	played := playGPUs(t, 1)
	b := startBench(t, played.with())
	b.awaitFree(1)
	done := filepath.Join(t.TempDir(), "done")
	b.give(dispatch("a", onGPU, func(d *bus.Dispatch) {
		d.Recipe.Argv = []string{"/bin/sh", "-c", "until [ -e " + done + " ]; do sleep 0.02; done; exit 1"}
	}))
	b.awaitStart("a")
	played.show("4, 1")
	b.awaitGPU("GPU-0", spec.GPUBusy, "uncorrected ECC")
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if report, _ := b.report("a", 1); report.Failure.Cause() != spec.CauseHardware || !report.Failure.Retryable {
		t.Errorf("filed as %+v", report.Failure)
	}
	b.awaitGPU("GPU-0", spec.GPUQuarantined, "uncorrected ECC")
}

// TestGPUHang: while nvidia-smi hangs, heartbeats and results go on, and nothing new is begun.
func TestGPUHang(t *testing.T) {
	t.Parallel()
	played := playGPUs(t, 2)
	b := startBench(t, played.with(func(g *GPUSlots) { g.Timeout = 300 * time.Millisecond }))
	b.awaitFree(2)
	b.give(dispatch("a", onGPU, script("await", "result {\"metrics\": {\"loss\": 1}}")))
	ref := b.awaitStart("a")
	b.until("it runs", func() bool {
		return slices.ContainsFunc(b.lastBeat().Running, func(h bus.Holding) bool { return h.Progress == "waiting" })
	})
	played.write("script", "sleep 600")
	b.awaitFree(0)
	b.tell(bus.Answer{Epoch: 1, Stop: []bus.StopOrder{{AttemptRef: ref, Reason: "superseded"}}})
	if report, result := b.report("a", 1); report.Failure != nil || result.Metrics["loss"] != 1 {
		t.Errorf("the result is %+v", report.Failure)
	}
	b.awaitGPU("GPU-0", spec.GPUQuarantined, "nvidia-smi")
}

// TestGPUUnfitAtStart: what was dispatched to a GPU that proves sick when it is to be used is handed back, not failed.
func TestGPUUnfitAtStart(t *testing.T) {
	t.Parallel()
	played := playGPUs(t, 1)
	b := startBench(t, played.with(func(g *GPUSlots) { g.every, g.fresh = time.Hour, time.Nanosecond }))
	b.awaitFree(1)
	played.show("4, 7")
	b.give(dispatch("a", onGPU, script("exit 0")))
	report, _ := b.report("a", 1)
	if !report.Preempted || !strings.Contains(report.Failure.Message, "7 uncorrected ECC errors") {
		t.Errorf("reported %+v", report.Failure)
	}
	b.awaitGPU("GPU-0", spec.GPUQuarantined, "uncorrected ECC")
}

func TestGPUSlotsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(g *GPUSlots){
		"more slots than GPUs": func(g *GPUSlots) { g.Slots = 3 },
		"no GPU":               func(g *GPUSlots) { g.Program = "/no/such/nvidia-smi" },
		"a class taken":        func(g *GPUSlots) { g.Class = testClass },
	} {
		o := testOptions(t)
		playGPUs(t, 2).with(change)(&o)
		if _, err := findGPUs(t.Context(), &o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	o := testOptions(t)
	playGPUs(t, 0).with(func(g *GPUSlots) { g.Required = false })(&o)
	if found, err := findGPUs(t.Context(), &o); err != nil || found != nil || o.Slots[gpuClass] < 1 {
		t.Errorf("without a GPU: %v, slots %v", err, o.Slots)
	}
}
