package bus

import (
	"math"

	"autoresearch/pkg/spec"
)

// act writes an Act: k kind, i task, o origin, c class, g GPU, s subtree, v value, w what, n count, b by, y reason, t wall clock,
// l limit, u used.
func (w *wire) act(a *Act) {
	mark := w.openMap()
	fieldText(w, "k", a.Kind)
	fieldText(w, "i", a.Task)
	fieldText(w, "o", a.Origin)
	fieldText(w, "c", a.Class)
	fieldText(w, "g", a.GPU)
	w.fieldBool("s", a.Subtree)
	w.fieldFloat("v", a.Value)
	fieldText(w, "w", a.What)
	fieldInt(w, "n", a.Count)
	fieldText(w, "b", a.By)
	fieldText(w, "y", a.Reason)
	fieldInt(w, "t", a.At)
	fieldText(w, "l", a.Limit)
	w.fieldFloat("u", a.Used)
	w.unknown(a.Unknown)
	w.closeMap(mark)
}

func (c *cursor) act() (a Act) {
	c.fields(&a.Unknown, func(key []byte) bool {
		switch string(key) {
		case "k":
			a.Kind = spec.ActKind(c.text())
		case "i":
			a.Task = spec.TaskID(c.text())
		case "o":
			a.Origin = spec.TaskID(c.text())
		case "c":
			a.Class = c.text()
		case "g":
			a.GPU = c.text()
		case "s":
			a.Subtree = c.bool()
		case "v":
			a.Value = c.float()
		case "w":
			a.What = c.text()
		case "n":
			a.Count = int(c.uint(math.MaxInt32))
		case "b":
			a.By = c.text()
		case "y":
			a.Reason = c.text()
		case "t":
			a.At = spec.WallTime(c.int())
		case "l":
			a.Limit = spec.Limit(c.text())
		case "u":
			a.Used = c.float()
		default:
			return false
		}
		return true
	})
	return a
}
