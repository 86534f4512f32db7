package bus

import "autoresearch/pkg/spec"

// What a worker may list of itself.
const (
	labelsMax = 100
	gpusMax   = 1000
)

// gpuStatus writes a GPUStatus: u UUID, m model, d driver, k class, s state, r reason.
func (w *wire) gpuStatus(g *spec.GPUStatus) {
	mark := w.openMap()
	fieldText(w, "u", g.UUID)
	fieldText(w, "m", g.Model)
	fieldText(w, "d", g.Driver)
	fieldText(w, "k", g.Class)
	fieldText(w, "s", g.State)
	fieldText(w, "r", g.Reason)
	w.closeMap(mark)
}

func (c *cursor) gpuStatus() (g spec.GPUStatus) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "u":
			g.UUID = c.text()
		case "m":
			g.Model = c.text()
		case "d":
			g.Driver = c.text()
		case "k":
			g.Class = c.text()
		case "s":
			g.State = c.text()
		case "r":
			g.Reason = c.text()
		default:
			return false
		}
		return true
	})
	return g
}

// quarantine writes a Quarantine: w worker, u UUID.
func (w *wire) quarantine(q *spec.Quarantine) {
	mark := w.openMap()
	fieldText(w, "w", q.Worker)
	fieldText(w, "u", q.GPU)
	w.closeMap(mark)
}

func (c *cursor) quarantine() (q spec.Quarantine) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "w":
			q.Worker = spec.WorkerID(c.text())
		case "u":
			q.GPU = c.text()
		default:
			return false
		}
		return true
	})
	return q
}

// fieldHardware writes Hardware unless it is zero: m model, u UUIDs, d driver.
func (w *wire) fieldHardware(key string, h spec.Hardware) {
	if h.IsZero() {
		return
	}
	w.key(key)
	mark := w.openMap()
	fieldText(w, "m", h.GPU)
	fieldTexts(w, "u", h.GPUs)
	fieldText(w, "d", h.Driver)
	w.closeMap(mark)
}

func (c *cursor) hardware() (h spec.Hardware) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "m":
			h.GPU = c.text()
		case "u":
			h.GPUs = listOf(c, gpusMax, c.text)
		case "d":
			h.Driver = c.text()
		default:
			return false
		}
		return true
	})
	return h
}
