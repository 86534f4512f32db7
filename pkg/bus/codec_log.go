package bus

import (
	"math"

	"autoresearch/pkg/spec"
)

// EncodeLogMessage returns a piece of an attempt's output: v version, c claim, t time, o bytes of standard output before, e
// of standard error, p pieces, z nothing follows.
func EncodeLogMessage(m *LogMessage) ([]byte, error) {
	size := 128
	for i := range m.Pieces {
		size += len(m.Pieces[i].Data) + 24
	}
	w := wire{out: make([]byte, 0, size)}
	mark := w.openMap()
	fieldInt(&w, "v", MessageVersion)
	fieldUint(&w, "c", uint64(m.Claim))
	fieldInt(&w, "t", int64(m.At))
	fieldInt(&w, "o", m.Out)
	fieldInt(&w, "e", m.Err)
	fieldList(&w, "p", m.Pieces, (*wire).logPiece)
	w.fieldBool("z", m.Ended)
	w.closeMap(mark)
	return w.out, nil
}

// logPiece: e standard error, s bytes skipped before it, d data.
func (w *wire) logPiece(p *LogPiece) {
	mark := w.openMap()
	w.fieldBool("e", p.Stderr)
	fieldInt(w, "s", p.Skipped)
	fieldBytes(w, "d", p.Data)
	w.closeMap(mark)
}

// logPiecesMax is how many pieces of a message are read.
const logPiecesMax = 8192

// DecodeLogMessage reads what EncodeLogMessage wrote; the bytes may come from anywhere.
func DecodeLogMessage(data []byte) (*LogMessage, error) {
	c := newCursor("log message", data)
	m := &LogMessage{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			m.Version = int(c.uint(math.MaxInt32))
		case "c":
			m.Claim = spec.ClaimID(c.uint64())
		case "t":
			m.At = spec.WallTime(c.int())
		case "o":
			m.Out = int64(c.uint(math.MaxInt64))
		case "e":
			m.Err = int64(c.uint(math.MaxInt64))
		case "p":
			m.Pieces = listOf(c, logPiecesMax, c.logPiece)
		case "z":
			m.Ended = c.bool()
		default:
			return false
		}
		return true
	})
	if c.err != nil {
		return nil, c.err
	}
	return m, nil
}

func (c *cursor) logPiece() (p LogPiece) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "e":
			p.Stderr = c.bool()
		case "s":
			p.Skipped = int64(c.uint(math.MaxInt64))
		case "d":
			p.Data = c.bytes()
		default:
			return false
		}
		return true
	})
	return p
}
