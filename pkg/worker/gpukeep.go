package worker

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"autoresearch/internal/gpu"
	"autoresearch/pkg/spec"
)

const (
	// While GPUs are being checked they are looked at again after a pause that doubles from the first to the last.
	checkPauseFirst = 100 * time.Millisecond
	checkPauseLast  = 2 * time.Second
	// memoryIdleMax is the most memory that a GPU may use when nobody does, memorySlack what it may differ; in MiB.
	memoryIdleMax = 1024
	memorySlack   = 256
)

// startGPUs begins to keep the worker's GPUs.
func (w *worker) startGPUs() (stop func()) {
	if w.gpus == nil {
		return func() {}
	}
	xids, err := gpu.OpenXIDs(w.gpus.o.KernelLog)
	if err != nil {
		w.log.Info("Xid errors are not watched: the kernel's log cannot be read", "error", err)
	} else {
		w.gpus.xids = xids
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.keepGPUs(ctx)
	}()
	return func() {
		cancel()
		<-done
		if xids != nil {
			_ = xids.Close() // only read
		}
	}
}

// keepGPUs looks at the GPUs until ctx is done: at intervals, when one is to be checked, and when an attempt asks.
func (w *worker) keepGPUs(ctx context.Context) {
	pause := checkPauseFirst
	for {
		began := time.Now()
		look, err := w.gpus.smi.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		w.metrics.gpuLook.Observe(time.Since(began).Seconds())
		next := w.gpus.o.every
		if pending := w.judgeGPUs(look, err, began); pending {
			next = min(next, pause)
			pause = min(2*pause, checkPauseLast)
		} else {
			pause = checkPauseFirst
		}
		w.gpus.looked.fire()
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		case <-w.gpus.wake:
			pause = checkPauseFirst
		}
	}
}

// judgeGPUs applies what a look showed, and reports whether any GPU is to be looked at again soon.
func (w *worker) judgeGPUs(look gpu.Look, err error, began time.Time) (pending bool) {
	if err != nil {
		w.metrics.gpuLookFailures.Inc()
		w.log.Warn("cannot look at the GPUs: none that is free is offered until that is possible", "error", err)
	}
	w.gpus.learn(look, began)
	changes, pending := w.ledger.judge(func(u *unit, alone bool) (sick, held string) {
		if err != nil {
			return "", err.Error()
		}
		return w.gpus.examine(u, look, alone)
	}, began, time.Now(), w.gpus.o.Release)
	for _, c := range changes {
		w.announce(c)
	}
	return pending
}

// announce says that what the worker offers has changed.
func (w *worker) announce(c unitChange) {
	notify(w.beat)
	switch {
	case c.to == spec.GPUQuarantined:
		w.metrics.quarantines.Inc()
		w.log.Error("GPUs are quarantined: they are not offered until they are fit again", "gpus", c.gpus, "class", c.class,
			"reason", c.reason)
	case c.from == spec.GPUQuarantined:
		w.log.Info("GPUs are fit again and offered", "gpus", c.gpus, "class", c.class)
	case c.to == spec.GPUChecking:
		w.log.Warn("free GPUs are in doubt and not offered", "gpus", c.gpus, "class", c.class, "reason", c.reason)
	}
}

// learn notes what each GPU uses when nobody does, and the faults that the kernel logged.
func (g *gpus) learn(look gpu.Look, now time.Time) {
	var news map[string]string
	if g.xids != nil {
		news = g.xids.News()
	}
	for uuid, state := range look.GPUs {
		if what, logged := news[state.Bus]; logged {
			g.faults[uuid] = fault{what: what, at: now}
		}
		if state.MemoryUsed < 0 || len(state.Processes) > 0 {
			continue
		}
		if idle, known := g.idle[uuid]; !known || state.MemoryUsed < idle {
			g.idle[uuid] = min(state.MemoryUsed, memoryIdleMax)
		}
	}
}

// examine says what is wrong with a unit, and what still holds it. What holds a GPU can be told only when no other slot has
// a part of it.
func (g *gpus) examine(u *unit, look gpu.Look, alone bool) (sick, held string) {
	for _, d := range u.devices {
		state, listed := look.GPUs[d.Parent]
		switch fault := g.faults[d.Parent]; {
		case !listed:
			return "nvidia-smi does not list " + d.Parent + " any more", ""
		case state.Sick != "":
			return d.Parent + ": " + state.Sick, ""
		case state.Uncorrected > 0:
			return fmt.Sprintf("%s: %d uncorrected ECC errors since its driver was loaded; reset it (nvidia-smi --gpu-reset)",
				d.Parent, state.Uncorrected), ""
		case fault.what != "" && time.Since(fault.at) < faultKeep:
			return d.Parent + ": " + fault.what, ""
		case !alone:
		case len(state.Processes) > 0:
			held = fmt.Sprintf("%s is held by process %d", d.Parent, state.Processes[0])
		case state.MemoryUsed > g.idle[d.Parent]+memorySlack:
			held = fmt.Sprintf("%s has %d MiB of memory in use that no process holds", d.Parent, state.MemoryUsed)
		}
	}
	return "", held
}

// unitChange is a unit's way from one state to another.
type unitChange struct {
	gpus, class, from, to, reason string
}

// judge brings every unit into the state that a look, which began at a time, gives it. A unit that came into its state
// later is left for the next look.
func (l *ledger) judge(
	examine func(u *unit, alone bool) (sick, held string), began, now time.Time, patience time.Duration,
) (changes []unitChange, pending bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy := l.busyGPUs()
	for _, p := range l.pools {
		for _, u := range p.units {
			if u.state != spec.GPUBusy && u.since.After(began) {
				pending = true
				continue
			}
			sick, held := examine(u, !u.shares(busy))
			if c, changed := p.judge(u, sick, held, began, now, patience); changed {
				changes = append(changes, c)
			}
			pending = pending || u.state == spec.GPUChecking
		}
	}
	return changes, pending
}

// busyGPUs are those of which any part is busy.
func (l *ledger) busyGPUs() map[string]bool {
	busy := map[string]bool{}
	for _, p := range l.pools {
		for _, u := range p.units {
			for _, d := range u.devices {
				busy[d.Parent] = busy[d.Parent] || u.state == spec.GPUBusy
			}
		}
	}
	return busy
}

func (u *unit) shares(busy map[string]bool) bool {
	for _, d := range u.devices {
		if busy[d.Parent] {
			return true
		}
	}
	return false
}

// judge is the verdict on one unit.
func (p *pool) judge(u *unit, sick, held string, began, now time.Time, patience time.Duration) (unitChange, bool) {
	to := u.state
	switch {
	case u.state == spec.GPUBusy:
		u.sick = sick
	case sick != "":
		to = spec.GPUQuarantined
	case held == "":
		to = spec.GPUFree
	case u.state == spec.GPUFree:
		to = spec.GPUChecking
	case u.state == spec.GPUChecking && now.Sub(u.since) >= patience:
		to = spec.GPUQuarantined
	}
	if sick == "" && held == "" {
		u.well = began
	}
	c := unitChange{gpus: u.visible(), class: p.class, from: u.state, to: to, reason: sick + held}
	if to == u.state {
		if u.state != spec.GPUBusy {
			u.reason = c.reason
		}
		return c, false
	}
	p.move(u, to, c.reason, now)
	return c, true
}

// move brings a unit into another state.
func (p *pool) move(u *unit, to, reason string, now time.Time) {
	if u.state == spec.GPUChecking || u.state == spec.GPUQuarantined {
		p.out--
	}
	if to == spec.GPUChecking || to == spec.GPUQuarantined {
		p.out++
	}
	u.state, u.reason, u.since = to, reason, now
	p.wake()
}

// take gives a unit that is free to an attempt; none when there is none.
func (p *pool) take(now time.Time) *unit {
	for _, u := range p.units {
		if u.state == spec.GPUFree {
			u.sick = ""
			p.move(u, spec.GPUBusy, "", now)
			return u
		}
	}
	return nil
}

// fitness returns when the newest look began that found the unit well, and what is wrong with it.
func (l *ledger) fitness(u *unit) (well time.Time, sick string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return u.well, u.sick
}

// sickness is what a look found wrong with the attempt's GPUs while it ran; "" when nothing was.
func (l *ledger) sickness(a *attempt) string {
	if a.unit == nil {
		return ""
	}
	_, sick := l.fitness(a.unit)
	return sick
}

// gpuStatus lists the GPUs of all slots.
func (l *ledger) gpuStatus() (list []spec.GPUStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pools {
		for _, u := range p.units {
			for _, d := range u.devices {
				list = append(list, spec.GPUStatus{
					UUID: d.UUID, Model: d.Model, Driver: d.Driver, Class: p.class, State: u.state,
					Reason: clipText(cmp.Or(u.reason, u.sick), headlineBytes),
				})
			}
		}
	}
	return list
}
