package bus

import (
	"time"

	"autoresearch/pkg/spec"
)

// fieldList writes a list of maps.
func fieldList[T any](w *wire, key string, items []T, write func(*wire, *T)) {
	if len(items) == 0 {
		return
	}
	w.key(key)
	w.arrayLen(len(items))
	for i := range items {
		write(w, &items[i])
	}
}

// EncodeDispatches returns a doorbell message: one dispatch, or v version and b the dispatches.
func EncodeDispatches(ds []*Dispatch) ([]byte, error) {
	w := wire{}
	w.dispatches(ds)
	return w.out, nil
}

func (w *wire) dispatches(ds []*Dispatch) {
	if len(ds) == 1 {
		w.dispatch(ds[0])
		return
	}
	mark := w.openMap()
	fieldInt(w, "v", MessageVersion)
	fieldList(w, "b", ds, func(w *wire, d **Dispatch) { w.dispatch(*d) })
	w.closeMap(mark)
}

// dispatch writes a Dispatch: v version, n run, u run UUID, e epoch, k class, t task (T if a blob holds its payload or its input,
// C if it brings code: a worker that knows nothing of these must not take it for whole), a attempt, r recipe, i blob of its
// standard input, l lease in nanoseconds, m the largest result, w the worker to avoid. A zero Version is written as
// MessageVersion, here and in the other messages.
func (w *wire) dispatch(d *Dispatch) {
	mark := w.openMap()
	fieldInt(w, "v", messageVersion(d.Version))
	fieldText(w, "n", d.Run)
	fieldText(w, "u", d.RunID)
	fieldUint(w, "e", d.Epoch)
	fieldText(w, "k", d.Class)
	switch {
	case !d.Task.Code.IsZero():
		w.key("C")
	case !d.Task.Stored.IsZero() || !d.Stdin.IsZero():
		w.key("T")
	default:
		w.key("t")
	}
	w.taskSpec(&d.Task)
	fieldUint(w, "a", d.Attempt)
	w.key("r")
	w.recipe(&d.Recipe)
	w.fieldBlob("i", d.Stdin)
	fieldInt(w, "l", d.LeaseTTL)
	fieldInt(w, "m", d.ResultMax)
	fieldText(w, "w", d.Avoid)
	w.closeMap(mark)
}

func messageVersion(v int) int {
	if v == 0 {
		return MessageVersion
	}
	return v
}

// DecodeDispatches reads what EncodeDispatches wrote. The errors are *FormatError, as in the other messages.
func DecodeDispatches(data []byte) ([]*Dispatch, error) {
	c := newCursor("dispatch", data)
	var several []*Dispatch
	one := c.dispatch(func(key []byte) bool {
		if string(key) != "b" {
			return false
		}
		several = listOf(c, BatchMax, func() *Dispatch { return c.dispatch(nil).named(c) })
		return true
	})
	if len(several) == 0 {
		several = []*Dispatch{one.named(c)}
	}
	if c.err != nil {
		return nil, c.err
	}
	return several, nil
}

// dispatch reads one dispatch; other, unless nil, reads what is no field of it.
func (c *cursor) dispatch(other func(key []byte) bool) *Dispatch {
	d := &Dispatch{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			d.Version = int(c.int())
		case "n":
			d.Run = c.runName()
		case "u":
			d.RunID = c.text()
		case "e":
			d.Epoch = c.uint64()
		case "k":
			d.Class = c.text()
		case "t", "T", "C":
			d.Task = c.taskSpec()
		case "a":
			d.Attempt = c.uint32()
		case "r":
			c.recipe(&d.Recipe)
		case "i":
			d.Stdin = c.blob()
		case "l":
			d.LeaseTTL = time.Duration(c.int())
		case "m":
			d.ResultMax = c.int()
		case "w":
			d.Avoid = spec.WorkerID(c.text())
		default:
			return other != nil && other(key)
		}
		return true
	})
	return d
}

// named fails the reading of a dispatch that names no run and task.
func (d *Dispatch) named(c *cursor) *Dispatch {
	if d.Run == "" || d.Task.ID == "" {
		c.fail("names no run and task")
	}
	return d
}

// recipe writes a Recipe: c argv, e environment, d directory, i standard input, t timeout, s stall timeout, g grace,
// p proposer, m memory, o open files, u processor time, k and K how long checkpoints and source trees are kept, x secrets (references).
func (w *wire) recipe(r *spec.Recipe) {
	mark := w.openMap()
	fieldTexts(w, "c", r.Argv)
	fieldTexts(w, "e", r.Env)
	fieldText(w, "d", r.Dir)
	fieldBytes(w, "i", r.Stdin)
	fieldInt(w, "t", r.Timeout)
	fieldInt(w, "s", r.StallTimeout)
	fieldInt(w, "g", r.Grace)
	w.fieldBool("p", r.Proposer)
	fieldInt(w, "m", r.Limits.Memory)
	fieldInt(w, "o", r.Limits.OpenFiles)
	fieldInt(w, "u", r.Limits.CPU)
	fieldInt(w, "k", r.KeepCheckpoints)
	fieldInt(w, "K", r.KeepCode)
	fieldList(w, "x", r.Secrets, (*wire).secret)
	w.closeMap(mark)
}

func (c *cursor) recipe(r *spec.Recipe) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "c":
			r.Argv = list(c, c.text)
		case "e":
			r.Env = list(c, c.text)
		case "d":
			r.Dir = c.text()
		case "i":
			r.Stdin = c.bytes()
		case "t":
			r.Timeout = time.Duration(c.int())
		case "s":
			r.StallTimeout = time.Duration(c.int())
		case "g":
			r.Grace = time.Duration(c.int())
		case "p":
			r.Proposer = c.bool()
		case "m":
			r.Limits.Memory = c.int()
		case "o":
			r.Limits.OpenFiles = int(c.int())
		case "u":
			r.Limits.CPU = time.Duration(c.int())
		case "k":
			r.KeepCheckpoints = time.Duration(c.int())
		case "K":
			r.KeepCode = time.Duration(c.int())
		case "x":
			r.Secrets = list(c, c.secret)
		default:
			return false
		}
		return true
	})
}

// secret writes where a secret is found: n name, e environment variable, f file.
func (w *wire) secret(s *spec.Secret) {
	mark := w.openMap()
	fieldText(w, "n", s.Name)
	fieldText(w, "e", s.Env)
	fieldText(w, "f", s.File)
	w.closeMap(mark)
}

func (c *cursor) secret() (s spec.Secret) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "n":
			s.Name = c.text()
		case "e":
			s.Env = c.text()
		case "f":
			s.File = c.text()
		default:
			return false
		}
		return true
	})
	return s
}

// EncodeUplink returns a worker's message: v version, w worker, b boot, h host, f full, x leaving, s slots, r running,
// d finished, l labels, g GPUs, k breaker, m takes batches.
func EncodeUplink(u *Uplink) ([]byte, error) {
	w := wire{out: make([]byte, 0, 256)}
	mark := w.openMap()
	fieldInt(&w, "v", messageVersion(u.Version))
	fieldText(&w, "w", u.Worker)
	fieldUint(&w, "b", u.Boot)
	fieldText(&w, "h", u.Host)
	w.fieldBool("f", u.Full)
	w.fieldBool("x", u.Leaving)
	w.fieldBool("m", u.Batches)
	fieldList(&w, "s", u.Slots, (*wire).slots)
	fieldList(&w, "r", u.Running, (*wire).holding)
	fieldList(&w, "d", u.Finished, (*wire).attemptRef)
	fieldTexts(&w, "l", u.Labels)
	fieldList(&w, "g", u.GPUs, (*wire).gpuStatus)
	fieldText(&w, "k", u.Breaker)
	w.closeMap(mark)
	return w.out, nil
}

// DecodeUplink reads what EncodeUplink wrote.
func DecodeUplink(data []byte) (*Uplink, error) {
	c := newCursor("uplink", data)
	u := &Uplink{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			u.Version = int(c.int())
		case "w":
			u.Worker = spec.WorkerID(c.text())
		case "b":
			u.Boot = c.uint64()
		case "h":
			u.Host = c.text()
		case "f":
			u.Full = c.bool()
		case "x":
			u.Leaving = c.bool()
		case "m":
			u.Batches = c.bool()
		case "s":
			u.Slots = listOf(c, listedMax, c.slots)
		case "r":
			u.Running = listOf(c, listedMax, c.holding)
		case "d":
			u.Finished = listOf(c, listedMax, c.attemptRef)
		case "l":
			u.Labels = listOf(c, labelsMax, c.text)
		case "g":
			u.GPUs = listOf(c, gpusMax, c.gpuStatus)
		case "k":
			u.Breaker = c.text()
		default:
			return false
		}
		return true
	})
	if u.Worker == "" {
		c.fail("names no worker")
	}
	if c.err != nil {
		return nil, c.err
	}
	return u, nil
}

// slots writes ClassSlots: k class, t total, f free.
func (w *wire) slots(s *ClassSlots) {
	mark := w.openMap()
	fieldText(w, "k", s.Class)
	fieldInt(w, "t", s.Total)
	fieldInt(w, "f", s.Free)
	w.closeMap(mark)
}

func (c *cursor) slots() (s ClassSlots) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "k":
			s.Class = c.text()
		case "t":
			s.Total = int(c.int())
		case "f":
			s.Free = int(c.int())
		default:
			return false
		}
		return true
	})
	if s.Class == "" {
		c.fail("slots of no class")
	}
	return s
}

// attemptRef writes an AttemptRef: n run, i task, a attempt, c claim. What embeds one adds its own keys to the same map.
func (w *wire) attemptRef(r *AttemptRef) {
	mark := w.openMap()
	w.refFields(r)
	w.closeMap(mark)
}

func (w *wire) refFields(r *AttemptRef) {
	fieldText(w, "n", r.Run)
	fieldText(w, "i", r.Task)
	fieldUint(w, "a", r.Attempt)
	fieldUint(w, "c", r.Claim)
}

func (c *cursor) attemptRef() (r AttemptRef) {
	c.withRef(&r, func([]byte) bool { return false })
	return r
}

// withRef reads a map that holds an AttemptRef and the fields that more knows.
func (c *cursor) withRef(r *AttemptRef, more func(key []byte) bool) {
	c.fields(nil, func(key []byte) bool { return c.refField(r, key) || more(key) })
	if r.Task == "" {
		c.fail("an attempt of no task")
	}
}

func (c *cursor) refField(r *AttemptRef, key []byte) bool {
	switch string(key) {
	case "n":
		r.Run = c.runName()
	case "i":
		r.Task = spec.TaskID(c.text())
	case "a":
		r.Attempt = c.uint32()
	case "c":
		r.Claim = spec.ClaimID(c.uint64())
	default:
		return false
	}
	return true
}

// holding writes a Holding: its AttemptRef, s started, g GPUs, p progress, m metrics.
func (w *wire) holding(h *Holding) {
	mark := w.openMap()
	w.refFields(&h.AttemptRef)
	w.fieldTime("s", h.Started)
	fieldInt(w, "g", h.GPUs)
	fieldText(w, "p", h.Progress)
	w.fieldMetrics("m", h.Metrics)
	w.closeMap(mark)
}

func (c *cursor) holding() (h Holding) {
	c.withRef(&h.AttemptRef, func(key []byte) bool {
		switch string(key) {
		case "s":
			h.Started = c.time()
		case "g":
			h.GPUs = int(c.uint(spec.GPUsMax))
		case "p":
			h.Progress = c.text()
		case "m":
			h.Metrics = c.headline()
		default:
			return false
		}
		return true
	})
	return h
}

// headline reads the metrics of an attempt that runs.
func (c *cursor) headline() map[string]float64 {
	head := *c
	if n := head.mapLen(); n > headlineMax {
		c.fail("%d metrics of an attempt, at most %d are taken", n, headlineMax)
		return nil
	}
	return c.metrics()
}

// EncodeAnswer returns a leader's message: v version, n run, e epoch, h hello, s stop, r receipt, g send again, c classes.
func EncodeAnswer(a *Answer) ([]byte, error) {
	w := wire{}
	w.answer(a)
	return w.out, nil
}

func (w *wire) answer(a *Answer) {
	mark := w.openMap()
	fieldInt(w, "v", messageVersion(a.Version))
	fieldText(w, "n", a.Run)
	fieldUint(w, "e", a.Epoch)
	w.fieldBool("h", a.Hello)
	fieldList(w, "s", a.Stop, (*wire).stopOrder)
	fieldList(w, "r", a.Receipt, (*wire).attemptRef)
	fieldList(w, "g", a.SendAgain, (*wire).attemptRef)
	fieldTexts(w, "c", a.Classes)
	w.closeMap(mark)
}

// DecodeAnswer reads what EncodeAnswer wrote.
func DecodeAnswer(data []byte) (*Answer, error) {
	c := newCursor("answer", data)
	a := &Answer{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			a.Version = int(c.int())
		case "n":
			a.Run = c.runName()
		case "e":
			a.Epoch = c.uint64()
		case "h":
			a.Hello = c.bool()
		case "s":
			a.Stop = list(c, c.stopOrder)
		case "r":
			a.Receipt = list(c, c.attemptRef)
		case "g":
			a.SendAgain = list(c, c.attemptRef)
		case "c":
			a.Classes = list(c, c.text)
		default:
			return false
		}
		return true
	})
	if a.Run == "" {
		c.fail("names no run")
	}
	if c.err != nil {
		return nil, c.err
	}
	return a, nil
}

// stopOrder writes a StopOrder: its AttemptRef and w, the reason why.
func (w *wire) stopOrder(s *StopOrder) {
	mark := w.openMap()
	w.refFields(&s.AttemptRef)
	fieldText(w, "w", s.Reason)
	w.closeMap(mark)
}

func (c *cursor) stopOrder() (s StopOrder) {
	c.withRef(&s.AttemptRef, func(key []byte) bool {
		if string(key) != "w" {
			return false
		}
		s.Reason = c.text()
		return true
	})
	return s
}

// EncodeResultMessage returns a worker's results: v version, w worker, b boot, r reports.
func EncodeResultMessage(m *ResultMessage) ([]byte, error) {
	size := 64
	for i := range m.Reports {
		size += 64 + len(m.Reports[i].Body)
	}
	w := wire{out: make([]byte, 0, size)}
	mark := w.openMap()
	fieldInt(&w, "v", messageVersion(m.Version))
	fieldText(&w, "w", m.Worker)
	fieldUint(&w, "b", m.Boot)
	fieldList(&w, "r", m.Reports, (*wire).report)
	w.closeMap(mark)
	return w.out, nil
}

// DecodeResultMessage reads what EncodeResultMessage wrote. Bodies stay encoded and unchecked.
func DecodeResultMessage(data []byte) (*ResultMessage, error) {
	m := &ResultMessage{}
	if err := m.Decode(data); err != nil {
		return nil, err
	}
	return m, nil
}

// Decode is DecodeResultMessage into m, in the memory of its list of reports.
func (m *ResultMessage) Decode(data []byte) error {
	c := newCursor("result message", data)
	*m = ResultMessage{Reports: m.Reports[:0]}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			m.Version = int(c.int())
		case "w":
			m.Worker = spec.WorkerID(c.text())
		case "b":
			m.Boot = c.uint64()
		case "r":
			if c.atMost(reportsMax) {
				m.Reports = listInto(c, m.Reports, c.report)
			}
		default:
			return false
		}
		return true
	})
	if m.Worker == "" {
		c.fail("names no worker")
	}
	return c.err
}

// report writes a Report: its AttemptRef, f failure, p preempted, C cost, b body or B the blob that holds it.
func (w *wire) report(r *Report) {
	mark := w.openMap()
	w.refFields(&r.AttemptRef)
	w.fieldFailure("f", r.Failure)
	w.fieldBool("p", r.Preempted)
	fieldInt(w, "C", r.Cost)
	w.body(r.Body, r.Stored)
	w.closeMap(mark)
}

func (c *cursor) report() (r Report) {
	c.withRef(&r.AttemptRef, func(key []byte) bool {
		switch string(key) {
		case "f":
			r.Failure = sized(c, failureMax, c.failure)
		case "p":
			r.Preempted = c.bool()
		case "C":
			r.Cost = spec.Cost(c.uint(uint64(spec.CostReportedMax)))
		case "b":
			r.Body = c.bytes()
		case "B":
			r.Stored = c.blob()
		default:
			return false
		}
		return true
	})
	return r
}
