package bus

import "autoresearch/pkg/spec"

// EncodeDemand returns what a run wants: v version, n run, w weight, c classes, a asks.
func EncodeDemand(d *Demand) ([]byte, error) {
	w := wire{out: make([]byte, 0, 256)}
	mark := w.openMap()
	fieldInt(&w, "v", messageVersion(d.Version))
	fieldText(&w, "n", d.Run)
	w.fieldFloat("w", d.Weight)
	fieldList(&w, "c", d.Classes, (*wire).classDemand)
	w.fieldBool("a", d.Asks)
	w.closeMap(mark)
	return w.out, nil
}

// DecodeDemand reads what EncodeDemand wrote.
func DecodeDemand(data []byte) (*Demand, error) {
	c := newCursor("demand", data)
	d := &Demand{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			d.Version = int(c.int())
		case "n":
			d.Run = spec.RunName(c.text())
		case "w":
			d.Weight = c.float()
		case "c":
			d.Classes = list(c, c.classDemand)
		case "a":
			d.Asks = c.bool()
		default:
			return false
		}
		return true
	})
	if d.Run == "" {
		c.fail("names no run")
	}
	if c.err != nil {
		return nil, c.err
	}
	return d, nil
}

// classDemand writes a ClassDemand: k class, l leases, w wants.
func (w *wire) classDemand(d *spec.ClassDemand) {
	mark := w.openMap()
	fieldText(w, "k", d.Class)
	fieldInt(w, "l", d.Leases)
	fieldInt(w, "w", d.Wants)
	w.closeMap(mark)
}

func (c *cursor) classDemand() (d spec.ClassDemand) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "k":
			d.Class = c.text()
		case "l":
			d.Leases = int(c.int())
		case "w":
			d.Wants = int(c.int())
		default:
			return false
		}
		return true
	})
	if d.Class == "" {
		c.fail("a demand of no class")
	}
	return d
}
