package bus

import (
	"errors"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"autoresearch/pkg/spec"
)

// EncodeMirrorMeta returns the mirror's "meta" value, sealed: u run UUID, e epoch, c commit, w writer, j journal
// sequence, t time, r watermark, n tasks, m meta, and what a newer version wrote.
func EncodeMirrorMeta(m *MirrorMeta) ([]byte, error) {
	w := wire{out: appendSeal(make([]byte, 0, 256), formMeta)}
	mark := w.openMap()
	w.mirrorMeta(m)
	w.closeMap(mark)
	closeSeal(w.out, w.blobs)
	return w.out, nil
}

func (w *wire) mirrorMeta(m *MirrorMeta) {
	fieldText(w, "u", m.RunID)
	fieldUint(w, "e", m.Epoch)
	fieldUint(w, "c", m.Commit)
	fieldUint(w, "w", m.Writer)
	fieldUint(w, "j", m.JournalSeq)
	fieldInt(w, "t", m.Time)
	fieldUint(w, "r", m.Watermark)
	fieldUint(w, "n", m.Tasks)
	w.fieldMeta("m", &m.Meta)
	w.unknown(m.Unknown)
}

// DecodeMirrorMeta reads what EncodeMirrorMeta wrote. The errors are those of DecodeRecord.
func DecodeMirrorMeta(data []byte) (*MirrorMeta, error) {
	body, version, err := openSeal("mirror meta", formMeta, data)
	if err != nil {
		return nil, err
	}
	c := newCursor("mirror meta", body)
	m := &MirrorMeta{Version: version}
	c.fields(&m.Unknown, func(key []byte) bool { return c.mirrorMetaField(m, key) })
	if c.err != nil {
		return nil, c.err
	}
	return m, nil
}

func (c *cursor) mirrorMetaField(m *MirrorMeta, key []byte) bool {
	switch string(key) {
	case "u":
		m.RunID = c.text()
	case "e":
		m.Epoch = c.uint64()
	case "c":
		m.Commit = c.uint64()
	case "w":
		m.Writer = c.uint64()
	case "j":
		m.JournalSeq = c.uint64()
	case "t":
		m.Time = spec.EngineTime(c.int())
	case "r":
		m.Watermark = c.uint64()
	case "n":
		m.Tasks = c.uint64()
	case "m":
		c.meta(&m.Meta)
	default:
		return false
	}
	return true
}

// EncodeMirrorBase returns the mirror's "base" value, sealed: the fields of the meta, and l the leased.
func EncodeMirrorBase(b *MirrorBase) ([]byte, error) {
	w := wire{out: appendSeal(make([]byte, 0, 1024), formBase)}
	mark := w.openMap()
	w.mirrorMeta(&b.MirrorMeta)
	w.key("l")
	w.code32(msgpcode.Array32, uint32(len(b.Leased)))
	for _, change := range b.Leased {
		if change.Task == nil || change.Task.Spec.ID == "" {
			return nil, errors.New("encode mirror base: a lease without a task id")
		}
		w.change(change)
	}
	w.closeMap(mark)
	closeSeal(w.out, w.blobs)
	return w.out, nil
}

// DecodeMirrorBase reads what EncodeMirrorBase wrote. The errors are those of DecodeRecord.
func DecodeMirrorBase(data []byte) (*MirrorBase, error) {
	body, version, err := openSeal("mirror base", formBase, data)
	if err != nil {
		return nil, err
	}
	c := newCursor("mirror base", body)
	b := &MirrorBase{MirrorMeta: MirrorMeta{Version: version}}
	c.fields(&b.Unknown, func(key []byte) bool {
		if string(key) == "l" {
			b.Leased = list(c, c.change)
			return true
		}
		return c.mirrorMetaField(&b.MirrorMeta, key)
	})
	if c.err != nil {
		return nil, c.err
	}
	return b, nil
}

// EncodeMirrorValue returns the value of a task's key, sealed: j journal sequence, x the whole task as a change.
func EncodeMirrorValue(v *MirrorValue) ([]byte, error) {
	if v.Task == nil || v.Task.Spec.ID == "" {
		return nil, errors.New("encode mirror value: no task id")
	}
	w := wire{out: appendSeal(make([]byte, 0, 256+len(v.Task.Spec.Payload)), formValue)}
	mark := w.openMap()
	fieldUint(&w, "j", v.JournalSeq)
	w.key("x")
	w.change(Change{Task: v.Task, Parts: PartAll})
	w.closeMap(mark)
	closeSeal(w.out, w.blobs)
	return w.out, nil
}

// DecodeMirrorValue reads what EncodeMirrorValue wrote. The errors are those of DecodeRecord.
func DecodeMirrorValue(data []byte) (*MirrorValue, error) {
	body, _, err := openSeal("mirror value", formValue, data)
	if err != nil {
		return nil, err
	}
	c := newCursor("mirror value", body)
	v := &MirrorValue{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "j":
			v.JournalSeq = c.uint64()
		case "x":
			v.Task = c.change().Task
		default:
			return false
		}
		return true
	})
	if v.Task == nil {
		c.fail("holds no task")
	}
	if c.err != nil {
		return nil, c.err
	}
	return v, nil
}

// AppendTask appends a whole task, bare: for memory, and nothing that lasts. A payload and a body that the object store has
// are left out, as in a mirror value.
func AppendTask(out []byte, t *spec.Task) []byte {
	w := wire{out: out}
	w.change(Change{Task: t, Parts: PartAll})
	return w.out
}

// DecodeTask reads what AppendTask wrote. What it returns does not refer to data. The errors are those of DecodeRecord.
func DecodeTask(data []byte) (*spec.Task, error) {
	c := newCursor("task", data)
	t := c.change().Task
	if c.err != nil {
		return nil, c.err
	}
	return t, nil
}
