package bus

import (
	"slices"

	"autoresearch/pkg/spec"
)

// EncodeRejected returns what was rejected: its AttemptRef, v version, u rule, y reason, t at, e epoch, w worker, b boot,
// h child, d data, s size, B blob. Of the data at most RejectedDataMax bytes are kept.
func EncodeRejected(r *Rejected) ([]byte, error) {
	data := r.Data[:min(len(r.Data), RejectedDataMax)]
	w := wire{out: make([]byte, 0, 256+len(data))}
	mark := w.openMap()
	w.refFields(&r.AttemptRef)
	fieldInt(&w, "v", messageVersion(r.Version))
	fieldText(&w, "u", r.Rule)
	fieldText(&w, "y", r.Reason)
	fieldInt(&w, "t", r.At)
	fieldUint(&w, "e", r.Epoch)
	fieldText(&w, "w", r.Worker)
	fieldUint(&w, "b", r.Boot)
	fieldText(&w, "h", r.Child)
	fieldBytes(&w, "d", data)
	fieldInt(&w, "s", r.Size)
	w.fieldBlob("B", r.Stored)
	w.closeMap(mark)
	return w.out, nil
}

// DecodeRejected reads what EncodeRejected wrote.
func DecodeRejected(data []byte) (*Rejected, error) {
	c := newCursor("rejection", data)
	r := &Rejected{}
	c.fields(nil, func(key []byte) bool { return c.rejectedField(r, key) })
	if c.err != nil {
		return nil, c.err
	}
	return r, nil
}

func (c *cursor) rejectedField(r *Rejected, key []byte) bool {
	switch string(key) {
	case "v":
		r.Version = int(c.int())
	case "u":
		r.Rule = spec.Rule(c.text())
	case "y":
		r.Reason = c.text()
	case "t":
		r.At = spec.WallTime(c.int())
	case "e":
		r.Epoch = c.uint64()
	case "w":
		r.Worker = spec.WorkerID(c.text())
	case "b":
		r.Boot = c.uint64()
	case "h":
		r.Child = spec.TaskID(c.text())
	case "d":
		r.Data = c.bytes()
	case "s":
		r.Size = c.int()
	case "B":
		r.Stored = c.blob()
	default:
		return c.refField(&r.AttemptRef, key)
	}
	return true
}

// SalvageResults returns what can be told of a message that DecodeResultMessage refuses: who sent it, and which attempts
// it speaks of before it breaks off or goes wrong.
func SalvageResults(data []byte) (worker spec.WorkerID, boot uint64, refs []AttemptRef) {
	c := &cursor{form: "result message", data: data}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "w":
			worker = spec.WorkerID(c.text())
		case "b":
			boot = c.uint64()
		case "r":
			refs = c.salvagedRefs()
		default:
			return false
		}
		return true
	})
	return worker, boot, slices.DeleteFunc(refs, func(r AttemptRef) bool { return r.Task == "" || r.Attempt == 0 || r.Claim == 0 })
}

// salvagedRefs reads the attempts that a list of reports speaks of, and nothing else of them.
func (c *cursor) salvagedRefs() (refs []AttemptRef) {
	for n := min(c.arrayLen(), reportsMax); n > 0 && c.err == nil; n-- {
		var ref AttemptRef
		c.fields(nil, func(key []byte) bool { return c.refField(&ref, key) })
		refs = append(refs, ref)
	}
	return refs
}
