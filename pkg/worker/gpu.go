package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"strings"
	"time"

	"autoresearch/internal/gpu"
	"autoresearch/pkg/spec"
)

// Defaults of GPUSlots.
const (
	GPUReleaseDefault = time.Minute
	GPUTimeoutDefault = 10 * time.Second
	gpuEveryDefault   = 15 * time.Second
	gpuFreshDefault   = 5 * time.Second
)

// The environment by which an attempt is given its GPUs.
const (
	envVisibleDevices = "CUDA_VISIBLE_DEVICES"
	envDeviceOrder    = "CUDA_DEVICE_ORDER"
)

// GPUSlots says which slots have GPUs. Attempts in them see their own and no other; those in other slots of the worker see
// none.
type GPUSlots struct {
	// Class is the class of these slots. It must not be in Options.Slots.
	Class string
	// PerSlot is how many GPUs, or MIG instances where a GPU is divided, each slot has; 1 when 0.
	PerSlot int
	// Slots is how many slots there are to be; 0: as many as there are GPUs for, and on a machine without GPUs as many slots
	// without any as it has processors.
	Slots int
	// Required makes a machine without GPUs an error.
	Required bool
	// Release is how long the GPUs of an ended attempt may be held before they are quarantined; GPUReleaseDefault when 0.
	Release time.Duration
	// Program is nvidia-smi, and Timeout how long it may take to answer; the one in PATH and GPUTimeoutDefault when empty.
	Program string
	Timeout time.Duration
	// KernelLog is where Xid errors are read, if it can be read; gpu.KernelLog when empty.
	KernelLog string

	every time.Duration // between two looks while nothing happens
	fresh time.Duration // how old the look may be by which GPUs are taken for fit when an attempt begins
}

// gpus is what keeps a worker's GPUs: it alone asks nvidia-smi, so that nothing else of the worker ever waits for that.
type gpus struct {
	o     GPUSlots
	smi   *gpu.SMI
	xids  *gpu.XIDs // nil where the kernel's log cannot be read
	log   *slog.Logger
	found []gpu.Device

	wake   chan struct{} // a token asks for a look
	looked broadcast     // fired after each look

	// The rest is the keeper's own.
	idle   map[string]int64 // by GPU: the memory in MiB that it uses when nobody does
	faults map[string]fault // by GPU: the newest Xid error
}

// fault is a hardware fault that the kernel logged. It counts for faultKeep: that nothing came after it is all that can be
// known without a reset.
type fault struct {
	what string
	at   time.Time
}

const faultKeep = 10 * time.Minute

// findGPUs looks for the machine's GPUs and completes the slots of the options; nil where there are to be none, or are none.
func findGPUs(ctx context.Context, o *Options) (*gpus, error) {
	if o.GPUs == nil {
		return nil, nil
	}
	g := newGPUs(o)
	look, err := g.smi.Look(ctx)
	if err != nil && !errors.Is(err, gpu.ErrNone) {
		return nil, fmt.Errorf("look for GPUs: %w: mend the driver, or name CPU slots with --slots N", err)
	}
	devices := look.Devices
	if list, set := os.LookupEnv(envVisibleDevices); set {
		devices = gpu.Visible(devices, list)
	}
	slots := len(devices) / g.o.PerSlot
	if slots == 0 && !g.o.Required {
		g.log.Warn("no GPU can be used: the slots are CPU slots", "class", g.o.Class, "found", len(devices), "why", err)
		return nil, addSlots(o, g.o.Class, cmp.Or(g.o.Slots, runtime.GOMAXPROCS(0)))
	}
	if slots == 0 || slots < g.o.Slots {
		return nil, fmt.Errorf("%d slots of %d GPUs each: this machine has %d that can be used: %w", max(1, g.o.Slots), g.o.PerSlot,
			len(devices), cmp.Or(err, gpu.ErrNone))
	}
	slots = cmp.Or(g.o.Slots, slots)
	g.found = devices[:slots*g.o.PerSlot]
	return g, addSlots(o, g.o.Class, slots)
}

func newGPUs(o *Options) *gpus {
	g := &gpus{
		o: *o.GPUs, log: cmp.Or(o.Logger, slog.Default()), wake: make(chan struct{}, 1), idle: map[string]int64{},
		faults: map[string]fault{},
	}
	setDefault(&g.o.PerSlot, 1)
	setDefault(&g.o.Release, GPUReleaseDefault)
	setDefault(&g.o.Timeout, GPUTimeoutDefault)
	setDefault(&g.o.Program, gpu.Program)
	setDefault(&g.o.KernelLog, gpu.KernelLog)
	setDefault(&g.o.every, gpuEveryDefault)
	setDefault(&g.o.fresh, gpuFreshDefault)
	g.smi = gpu.NewSMI(g.o.Program, g.o.Timeout)
	return g
}

// addSlots adds the slots of a class to a copy of the options' own.
func addSlots(o *Options, class string, slots int) error {
	if _, taken := o.Slots[class]; taken || class == "" {
		return fmt.Errorf("worker options: class %q cannot have GPU slots: it is empty, or has slots already", class)
	}
	o.Slots = maps.Clone(o.Slots)
	if o.Slots == nil {
		o.Slots = map[string]int{}
	}
	o.Slots[class] = slots
	return nil
}

// equip gives the slots their GPUs.
func (w *worker) equip(g *gpus) {
	if g == nil {
		return
	}
	w.gpus, w.ledger.unlooked = g, g.wake
	for _, p := range w.ledger.pools {
		if p.class == g.o.Class {
			p.units = g.units(time.Now())
			p.out = len(p.units)
		}
	}
}

// units divides the GPUs among the slots, neighbours on the bus together. Each is looked at before it is offered.
func (g *gpus) units(now time.Time) (units []*unit) {
	for at := 0; at < len(g.found); at += g.o.PerSlot {
		units = append(units, &unit{
			devices: g.found[at : at+g.o.PerSlot], state: spec.GPUChecking, reason: "it was not looked at yet", since: now,
		})
	}
	return units
}

// unit is the GPUs of one slot. The ledger's lock guards what changes.
type unit struct {
	devices []gpu.Device
	state   string
	reason  string
	since   time.Time // when it came into its state
	// well is when the newest look began that found nothing wrong with it; sick is what a look found while it was busy.
	well time.Time
	sick string
}

// visible is the unit as CUDA_VISIBLE_DEVICES names it.
func (u *unit) visible() string { return strings.Join(u.uuids(), ",") }

func (u *unit) uuids() []string {
	uuids := make([]string, len(u.devices))
	for i, d := range u.devices {
		uuids[i] = d.UUID
	}
	return uuids
}

// gpuEnv is what an attempt's environment says of GPUs: its own, or none where the worker's have other slots.
func (w *worker) gpuEnv(a *attempt) []string {
	switch {
	case w.gpus == nil:
		return nil
	case a.unit == nil:
		return []string{envVisibleDevices + "="}
	}
	return []string{envVisibleDevices + "=" + a.unit.visible(), envDeviceOrder + "=PCI_BUS_ID"}
}

// hardware is what the attempt had.
func (a *attempt) hardware() spec.Hardware {
	if a.unit == nil {
		return spec.Hardware{}
	}
	first := a.unit.devices[0]
	return spec.Hardware{GPU: first.Model, Driver: first.Driver, GPUs: a.unit.uuids()}
}

// gpus is how many the attempt has to itself.
func (a *attempt) gpus() int {
	if a.unit == nil {
		return 0
	}
	return len(a.unit.devices)
}

// awaitGPUs waits until the attempt's GPUs are known to be fit, and returns why they are not.
func (w *worker) awaitGPUs(a *attempt) (trouble string) {
	if a.pool.units == nil {
		return ""
	}
	if a.unit == nil {
		return "no GPU of the worker is fit and free"
	}
	for range 3 { // a look that began too early, and one that comes in time
		looked := w.gpus.looked.wait()
		well, sick := w.ledger.fitness(a.unit)
		if sick != "" || a.started.Sub(well) < w.gpus.o.fresh {
			return sick
		}
		notify(w.gpus.wake)
		select {
		case <-looked:
		case <-a.ctx.Done():
			return ""
		}
	}
	return "nvidia-smi does not say how its GPUs are"
}

// handedBack is the outcome of an attempt that never began here: another worker may run it.
func handedBack(trouble, cause string) outcome {
	return outcome{preempted: true, result: spec.TaskResult{Failure: &spec.FailureRecord{
		Kind: spec.Interrupted, Phase: spec.PhaseRunner, Message: "handed back: " + trouble, Retryable: true,
		Details: map[string]any{"cause": cause},
	}}}
}
