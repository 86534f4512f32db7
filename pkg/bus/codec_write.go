package bus

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"autoresearch/pkg/spec"
)

// wire builds msgpack by appending. Maps are written field by field between openMap and closeMap; a field method leaves
// a zero value out, so absent and zero mean the same to readers.
type wire struct {
	out    []byte
	fields int  // of the map that is open
	blobs  bool // a blob was named: older builds must not take what is written for whole
}

// wires are borrowed to build what is copied as it is sent, as the client does with all that it publishes.
var wires = sync.Pool{New: func() any { return new(wire) }}

func borrowWire() *wire { return wires.Get().(*wire) }

// giveBack ends the use of w, and of w.out.
func (w *wire) giveBack() {
	if cap(w.out) <= wireKeptMax {
		*w = wire{out: w.out[:0]}
		wires.Put(w)
	}
}

// wireKeptMax bounds what is kept of a large message.
const wireKeptMax = 1 << 20

// mapMark is what closeMap needs to fill in the number of fields.
type mapMark struct{ at, outer int }

func (w *wire) openMap() mapMark {
	mark := mapMark{at: len(w.out), outer: w.fields}
	w.out = append(w.out, msgpcode.Map16, 0, 0)
	w.fields = 0
	return mark
}

func (w *wire) closeMap(mark mapMark) {
	binary.BigEndian.PutUint16(w.out[mark.at+1:], uint16(w.fields))
	w.fields = mark.outer
}

// key begins a field of the open map. Keys are short: fixstr.
func (w *wire) key(key string) {
	w.fields++
	w.out = append(w.out, msgpcode.FixedStrLow|byte(len(key)))
	w.out = append(w.out, key...)
}

// fieldText writes text as msgpack str, its bytes unchanged (a lone surrogate's WTF-8 form too).
func fieldText[T ~string](w *wire, key string, text T) {
	if text != "" {
		w.key(key)
		w.text(string(text))
	}
}

func fieldBytes[T ~[]byte](w *wire, key string, data T) {
	if data != nil {
		w.key(key)
		w.bytes(data)
	}
}

func fieldUint[T ~uint8 | ~uint32 | ~uint64](w *wire, key string, n T) {
	if n != 0 {
		w.key(key)
		w.uint(uint64(n))
	}
}

func fieldInt[T ~int | ~int64](w *wire, key string, n T) {
	if n != 0 {
		w.key(key)
		w.int(int64(n))
	}
}

func (w *wire) fieldBool(key string, b bool) {
	if b {
		w.key(key)
		w.out = append(w.out, msgpcode.True)
	}
}

// fieldFloat writes every bit of f; only positive zero is left out.
func (w *wire) fieldFloat(key string, f float64) {
	if math.Float64bits(f) != 0 {
		w.key(key)
		w.float(f)
	}
}

func (w *wire) fieldTime(key string, t time.Time) {
	if !t.IsZero() {
		w.key(key)
		w.time(t)
	}
}

func (w *wire) text(text string) {
	w.strLen(len(text))
	w.out = append(w.out, text...)
}

func (w *wire) strLen(n int) {
	switch {
	case n < 32:
		w.out = append(w.out, msgpcode.FixedStrLow|byte(n))
	case n <= math.MaxUint8:
		w.out = append(w.out, msgpcode.Str8, byte(n))
	case n <= math.MaxUint16:
		w.code16(msgpcode.Str16, uint16(n))
	default:
		w.code32(msgpcode.Str32, uint32(n))
	}
}

func (w *wire) bytes(data []byte) {
	switch n := len(data); {
	case n <= math.MaxUint8:
		w.out = append(w.out, msgpcode.Bin8, byte(n))
	case n <= math.MaxUint16:
		w.code16(msgpcode.Bin16, uint16(n))
	default:
		w.code32(msgpcode.Bin32, uint32(n))
	}
	w.out = append(w.out, data...)
}

func (w *wire) arrayLen(n int) {
	switch {
	case n < 16:
		w.out = append(w.out, msgpcode.FixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		w.code16(msgpcode.Array16, uint16(n))
	default:
		w.code32(msgpcode.Array32, uint32(n))
	}
}

func (w *wire) mapLen(n int) {
	switch {
	case n < 16:
		w.out = append(w.out, msgpcode.FixedMapLow|byte(n))
	case n <= math.MaxUint16:
		w.code16(msgpcode.Map16, uint16(n))
	default:
		w.code32(msgpcode.Map32, uint32(n))
	}
}

func (w *wire) uint(n uint64) {
	switch {
	case n <= math.MaxInt8:
		w.out = append(w.out, byte(n))
	case n <= math.MaxUint8:
		w.out = append(w.out, msgpcode.Uint8, byte(n))
	case n <= math.MaxUint16:
		w.code16(msgpcode.Uint16, uint16(n))
	case n <= math.MaxUint32:
		w.code32(msgpcode.Uint32, uint32(n))
	default:
		w.code64(msgpcode.Uint64, n)
	}
}

func (w *wire) int(n int64) {
	if n >= 0 {
		w.uint(uint64(n))
		return
	}
	w.code64(msgpcode.Int64, uint64(n))
}

func (w *wire) float(f float64) { w.code64(msgpcode.Double, math.Float64bits(f)) }

// time writes msgpack's timestamp in its widest form, which holds every time.Time to the nanosecond.
func (w *wire) time(t time.Time) {
	w.out = append(w.out, msgpcode.Ext8, 12, timestampExt)
	w.out = binary.BigEndian.AppendUint32(w.out, uint32(t.Nanosecond()))
	w.out = binary.BigEndian.AppendUint64(w.out, uint64(t.Unix()))
}

// timestampExt is msgpack's extension type -1.
const timestampExt = 0xff

func (w *wire) code16(code byte, n uint16) {
	w.out = append(w.out, code)
	w.out = binary.BigEndian.AppendUint16(w.out, n)
}

func (w *wire) code32(code byte, n uint32) {
	w.out = append(w.out, code)
	w.out = binary.BigEndian.AppendUint32(w.out, n)
}

func (w *wire) code64(code byte, n uint64) {
	w.out = append(w.out, code)
	w.out = binary.BigEndian.AppendUint64(w.out, n)
}

// fieldBlob writes a blob's digest and size.
func (w *wire) fieldBlob(key string, b spec.Blob) {
	if !b.IsZero() {
		w.key(key)
		w.bytes(binary.BigEndian.AppendUint64(b.Digest[:len(b.Digest):len(b.Digest)], uint64(b.Size)))
		w.blobs = true
	}
}

// fieldTexts writes a list of texts.
func fieldTexts[T ~string](w *wire, key string, texts []T) {
	if len(texts) == 0 {
		return
	}
	w.key(key)
	w.arrayLen(len(texts))
	for _, text := range texts {
		w.text(string(text))
	}
}

// fieldMetrics writes metrics in the order of their names, so that equal values give equal bytes.
func (w *wire) fieldMetrics(key string, metrics map[string]float64) {
	if len(metrics) == 0 {
		return
	}
	w.key(key)
	w.mapLen(len(metrics))
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		w.text(name)
		w.float(metrics[name])
	}
}

// fieldExtra writes unknown JSON keys as a list of name, value, name, value: their order counts.
func (w *wire) fieldExtra(key string, extra []spec.Field) {
	if len(extra) == 0 {
		return
	}
	w.key(key)
	w.arrayLen(2 * len(extra))
	for _, field := range extra {
		w.text(field.Name)
		w.bytes(field.Value)
	}
}

// unknown writes the fields that a newer version wrote, as they were.
func (w *wire) unknown(fields map[string][]byte) {
	if len(fields) == 0 {
		return // sorting nothing would allocate, for each task
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		w.fields++
		w.text(name)
		w.out = append(w.out, fields[name]...)
	}
}
