package spec

import (
	"encoding/binary"
	"hash/fnv"
	"maps"
	"math"
	"slices"
)

// Version names the state of a task that a person decides on: where it stands, its priority, and whether it is cancelled.
// An editor who read one version and finds another has something to read again. It follows from the record alone, so every
// leader of a run says the same. It is never 0.
func (t *Task) Version() uint64 {
	h := digest{}
	h.number(t.Seq)
	h.number(uint64(t.State))
	h.number(uint64(t.Attempt))
	h.number(math.Float64bits(t.Priority))
	h.flag(t.Cancelled)
	return h.sum()
}

// SettingsVersion names the state of the run's controls: pauses, budgets, draining, allowances. It is never 0.
func (m *Meta) SettingsVersion() uint64 {
	h := digest{}
	h.flag(m.Paused)
	h.flag(m.Drained)
	h.number(uint64(m.Budget))
	h.number(uint64(len(m.PausedClasses)))
	for _, class := range m.PausedClasses {
		h.text(class)
	}
	for _, class := range slices.Sorted(maps.Keys(m.ClassBudgets)) {
		h.text(class)
		h.number(uint64(m.ClassBudgets[class]))
	}
	for _, id := range slices.Sorted(maps.Keys(m.Allowances)) {
		h.text(string(id))
		for _, l := range LimitsAll {
			h.number(uint64(m.Allowances[id].Of(l)))
		}
	}
	return h.sum()
}

// digest gathers the fields of a version.
type digest struct{ bytes []byte }

func (d *digest) number(n uint64) { d.bytes = binary.BigEndian.AppendUint64(d.bytes, n) }

func (d *digest) flag(on bool) {
	if on {
		d.bytes = append(d.bytes, 1)
		return
	}
	d.bytes = append(d.bytes, 0)
}

func (d *digest) text(s string) {
	d.number(uint64(len(s)))
	d.bytes = append(d.bytes, s...)
}

func (d *digest) sum() uint64 {
	h := fnv.New64a()
	_, _ = h.Write(d.bytes) // never fails
	return max(1, h.Sum64())
}
