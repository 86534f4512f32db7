package bus

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"autoresearch/pkg/spec"
)

// The bounds of every decoder. What exceeds them is refused before anything is allocated for it.
const (
	// sizeMax is the largest thing that is ever decoded: a result from the object store.
	sizeMax = spec.SizeMax
	// depthMax is how deep maps and arrays may nest.
	depthMax = 32
)

// FormatError says that bytes are not the message or record they should be.
type FormatError struct {
	Form   string // what was being read: "dispatch", "journal record"
	Offset int    // where in the msgpack bytes
	Reason string
}

// Error returns the form, the offset and the reason.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%s is malformed at byte %d: %s", e.Form, e.Offset, e.Reason)
}

// cursor reads msgpack from a byte slice. The first error sticks: later reads return zero values, so a decoder checks
// err once, at its end. Every length is checked against the bytes that are left before it is believed; what is returned
// never refers to data unless a method says so.
type cursor struct {
	form string
	data []byte
	pos  int
	err  error
	run  spec.RunName // that runName read last
}

// newCursor returns a cursor at the start of data, which it has checked. It is small enough to be inlined, which keeps the
// cursors of most decoders off the heap.
func newCursor(form string, data []byte) *cursor {
	c := &cursor{form: form, data: data}
	c.check()
	return c
}

// check walks data once and refuses what is too large, too deep, cut off or followed by more bytes.
func (c *cursor) check() {
	if len(c.data) > sizeMax {
		c.fail("%d bytes, more than %d", len(c.data), sizeMax)
		return
	}
	c.skip(1)
	if c.err == nil && c.pos != len(c.data) {
		c.fail("%d bytes follow the value", len(c.data)-c.pos)
	}
	c.pos = 0
}

// CheckBounds refuses data that is not exactly one msgpack value of bounded size and depth whose lengths fit the bytes
// that are there. What passes is safe to hand to any msgpack decoder. form names it in the error, a *FormatError.
func CheckBounds(form string, data []byte) error { return newCursor(form, data).err }

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = &FormatError{Form: c.form, Offset: c.pos, Reason: fmt.Sprintf(format, args...)}
	}
}

// take returns the next n bytes, which refer to data; nil when there are fewer.
func (c *cursor) take(n uint64) []byte {
	if c.err != nil {
		return nil
	}
	if n > uint64(len(c.data)-c.pos) {
		c.fail("%d bytes announced, %d left", n, len(c.data)-c.pos)
		return nil
	}
	taken := c.data[c.pos : c.pos+int(n)]
	c.pos += int(n)
	return taken
}

// code returns the next format byte; Nil after an error.
func (c *cursor) code() byte {
	if taken := c.take(1); taken != nil {
		return taken[0]
	}
	return msgpcode.Nil
}

// number returns the next big-endian unsigned integer of size bytes.
func (c *cursor) number(size uint64) uint64 {
	taken := c.take(size)
	if taken == nil {
		return 0
	}
	switch size {
	case 1:
		return uint64(taken[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(taken))
	case 4:
		return uint64(binary.BigEndian.Uint32(taken))
	}
	return binary.BigEndian.Uint64(taken)
}

// nil consumes a nil if one is next.
func (c *cursor) nil() bool {
	if c.err == nil && c.pos < len(c.data) && c.data[c.pos] == msgpcode.Nil {
		c.pos++
		return true
	}
	return false
}

// skip walks one value, counting depth from 1.
func (c *cursor) skip(depth int) {
	code := c.code()
	if c.err != nil {
		return
	}
	if size, ok := fixedSize(code); ok {
		c.take(size)
		return
	}
	switch code {
	case msgpcode.Str8, msgpcode.Bin8:
		c.take(c.number(1))
	case msgpcode.Str16, msgpcode.Bin16:
		c.take(c.number(2))
	case msgpcode.Str32, msgpcode.Bin32:
		c.take(c.number(4))
	case msgpcode.Ext8:
		c.take(c.number(1) + 1)
	case msgpcode.Ext16:
		c.take(c.number(2) + 1)
	case msgpcode.Ext32:
		c.take(c.number(4) + 1)
	default:
		c.skipItems(code, depth)
	}
}

// fixedSize returns how many bytes follow a format byte whose value has a fixed size.
func fixedSize(code byte) (uint64, bool) {
	switch {
	case code <= msgpcode.PosFixedNumHigh || code >= msgpcode.NegFixedNumLow:
		return 0, true
	case msgpcode.IsFixedString(code):
		return uint64(code & msgpcode.FixedStrMask), true
	}
	switch code {
	case msgpcode.Nil, msgpcode.False, msgpcode.True:
		return 0, true
	case msgpcode.Uint8, msgpcode.Int8:
		return 1, true
	case msgpcode.Uint16, msgpcode.Int16, msgpcode.FixExt1:
		return 2, true
	case msgpcode.FixExt2:
		return 3, true
	case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
		return 4, true
	case msgpcode.FixExt4:
		return 5, true
	case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
		return 8, true
	case msgpcode.FixExt8:
		return 9, true
	case msgpcode.FixExt16:
		return 17, true
	}
	return 0, false
}

// skipItems walks the items of an array or a map whose format byte was read.
func (c *cursor) skipItems(code byte, depth int) {
	if depth > depthMax {
		c.fail("nested deeper than %d", depthMax)
		return
	}
	items := c.items(code)
	for i := 0; i < items && c.err == nil; i++ {
		c.skip(depth + 1)
	}
}

// items returns how many values follow the format byte of an array or a map (two for each field of a map). Each takes
// at least a byte, so more items than bytes are refused.
func (c *cursor) items(code byte) int {
	var n uint64
	switch {
	case msgpcode.IsFixedArray(code):
		n = uint64(code & msgpcode.FixedArrayMask)
	case msgpcode.IsFixedMap(code):
		n = 2 * uint64(code&msgpcode.FixedMapMask)
	case code == msgpcode.Array16:
		n = c.number(2)
	case code == msgpcode.Array32:
		n = c.number(4)
	case code == msgpcode.Map16:
		n = 2 * c.number(2)
	case code == msgpcode.Map32:
		n = 2 * c.number(4)
	default:
		c.fail("%#x begins no array or map", code)
	}
	if left := uint64(len(c.data) - c.pos); n > left {
		c.fail("%d items announced, %d bytes left", n, left)
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

// arrayLen reads the head of an array; nil is an empty one.
func (c *cursor) arrayLen() int {
	code := c.code()
	if c.err != nil || code == msgpcode.Nil {
		return 0
	}
	if msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32 {
		return c.items(code)
	}
	c.fail("%#x is not an array", code)
	return 0
}

// mapLen reads the head of a map; nil is an empty one.
func (c *cursor) mapLen() int {
	code := c.code()
	if c.err != nil || code == msgpcode.Nil {
		return 0
	}
	if msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32 {
		return c.items(code) / 2
	}
	c.fail("%#x is not a map", code)
	return 0
}

// fields reads a map. field is called at each value that is not nil and returns false, without reading, for a key it
// does not know; unknown, unless nil, keeps those values.
func (c *cursor) fields(unknown *map[string][]byte, field func(key []byte) bool) {
	for n := c.mapLen(); n > 0 && c.err == nil; n-- {
		key := c.raw()
		if c.err != nil || c.nil() || field(key) {
			continue
		}
		start := c.pos
		c.skip(1)
		if unknown == nil || c.err != nil {
			continue
		}
		if *unknown == nil {
			*unknown = map[string][]byte{}
		}
		(*unknown)[string(key)] = append([]byte(nil), c.data[start:c.pos]...)
	}
}

// raw reads a str or bin; the result refers to data.
func (c *cursor) raw() []byte {
	code := c.code()
	switch {
	case c.err != nil || code == msgpcode.Nil:
		return nil
	case msgpcode.IsFixedString(code):
		return c.take(uint64(code & msgpcode.FixedStrMask))
	}
	switch code {
	case msgpcode.Str8, msgpcode.Bin8:
		return c.take(c.number(1))
	case msgpcode.Str16, msgpcode.Bin16:
		return c.take(c.number(2))
	case msgpcode.Str32, msgpcode.Bin32:
		return c.take(c.number(4))
	}
	c.fail("%#x is not text", code)
	return nil
}

func (c *cursor) text() string { return string(c.raw()) }

// runName reads the name of a run. Most that stand in a message are the same, which takes memory once.
func (c *cursor) runName() spec.RunName {
	if raw := c.raw(); string(raw) != string(c.run) {
		c.run = spec.RunName(raw)
	}
	return c.run
}

// bytes reads a bin; never nil unless it is nil or an error occurred.
func (c *cursor) bytes() []byte {
	if c.nil() {
		return nil
	}
	raw := c.raw()
	if c.err != nil {
		return nil
	}
	return append(make([]byte, 0, len(raw)), raw...)
}

// blob reads the name of a blob.
func (c *cursor) blob() (b spec.Blob) {
	raw := c.raw()
	if c.err != nil {
		return b
	}
	if len(raw) != len(b.Digest)+8 {
		c.fail("a blob's name of %d bytes", len(raw))
		return b
	}
	size := binary.BigEndian.Uint64(raw[len(b.Digest):])
	if size > math.MaxInt64 {
		c.fail("a blob of %d bytes", size)
		return b
	}
	copy(b.Digest[:], raw)
	b.Size = int64(size)
	return b
}

func (c *cursor) bool() bool {
	switch code := c.code(); code {
	case msgpcode.True:
		return true
	case msgpcode.False, msgpcode.Nil:
	default:
		c.fail("%#x is not a boolean", code)
	}
	return false
}

// uint reads a non-negative integer of any width, at most limit.
func (c *cursor) uint(limit uint64) uint64 {
	n, negative := c.integer()
	if negative || n > limit {
		c.fail("integer out of range")
		return 0
	}
	return n
}

func (c *cursor) uint32() uint32 { return uint32(c.uint(math.MaxUint32)) }
func (c *cursor) uint64() uint64 { return c.uint(math.MaxUint64) }

// int reads an integer of any width.
func (c *cursor) int() int64 {
	n, negative := c.integer()
	if !negative && n > math.MaxInt64 {
		c.fail("integer out of range")
		return 0
	}
	return int64(n)
}

// integer reads an integer of any width as its two's complement.
func (c *cursor) integer() (n uint64, negative bool) {
	code := c.code()
	switch {
	case code <= msgpcode.PosFixedNumHigh:
		return uint64(code), false
	case code >= msgpcode.NegFixedNumLow:
		return uint64(int64(int8(code))), true
	}
	switch code {
	case msgpcode.Nil:
		return 0, false
	case msgpcode.Uint8:
		return c.number(1), false
	case msgpcode.Uint16:
		return c.number(2), false
	case msgpcode.Uint32:
		return c.number(4), false
	case msgpcode.Uint64:
		return c.number(8), false
	case msgpcode.Int8:
		return signed(int64(int8(c.number(1))))
	case msgpcode.Int16:
		return signed(int64(int16(c.number(2))))
	case msgpcode.Int32:
		return signed(int64(int32(c.number(4))))
	case msgpcode.Int64:
		return signed(int64(c.number(8)))
	}
	c.fail("%#x is not an integer", code)
	return 0, false
}

func signed(n int64) (uint64, bool) { return uint64(n), n < 0 }

// float reads a float or an integer.
func (c *cursor) float() float64 {
	if c.err == nil && c.pos < len(c.data) {
		switch c.data[c.pos] {
		case msgpcode.Double:
			c.pos++
			return math.Float64frombits(c.number(8))
		case msgpcode.Float:
			c.pos++
			return float64(math.Float32frombits(uint32(c.number(4))))
		}
	}
	n, negative := c.integer()
	if negative {
		return float64(int64(n))
	}
	return float64(n)
}

// time reads a timestamp in any of msgpack's three forms, as UTC.
func (c *cursor) time() time.Time {
	code := c.code()
	size := uint64(0)
	switch code {
	case msgpcode.Nil:
		return time.Time{}
	case msgpcode.FixExt4:
		size = 4
	case msgpcode.FixExt8:
		size = 8
	case msgpcode.Ext8:
		size = c.number(1)
	}
	if size == 0 || c.number(1) != timestampExt {
		c.fail("not a timestamp")
		return time.Time{}
	}
	return c.timestamp(size)
}

func (c *cursor) timestamp(size uint64) time.Time {
	var seconds int64
	var nanos uint64
	switch size {
	case 4:
		seconds = int64(c.number(4))
	case 8:
		both := c.number(8)
		seconds, nanos = int64(both&(1<<34-1)), both>>34
	case 12:
		nanos = c.number(4)
		seconds = int64(c.number(8))
	default:
		c.fail("a timestamp of %d bytes", size)
	}
	if nanos >= 1e9 {
		c.fail("a timestamp of %d nanoseconds", nanos)
	}
	if c.err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanos)).UTC()
}

// The bounds of what workers send, far above what they should: in memory an element takes many times the bytes that it
// takes in a message.
const (
	reportsMax  = 4096     // reports in a message
	listedMax   = 16384    // attempts, or slots, that one worker lists
	failureMax  = 32 << 10 // bytes of a failure record
	headlineMax = 1024     // metrics of an attempt in a heartbeat
	unknownsMax = 256      // unknown keys of a child

	seriesInlineMax = 32 << 10  // bytes of the series that stand in a result itself
	artifactsMax    = 256 << 10 // bytes of the list of its artifacts
)

// MetricsMax is how many metrics a result may have.
const MetricsMax = 10_000

// sized reads a value that takes at most limit bytes; a longer one is refused before it is read.
func sized[T any](c *cursor, limit int, read func() T) (value T) {
	ahead := *c
	if ahead.skip(1); ahead.pos-c.pos > limit {
		c.fail("%d bytes, at most %d are taken", ahead.pos-c.pos, limit)
		return value
	}
	return read()
}

// listOf is list for at most limit elements.
func listOf[T any](c *cursor, limit int, read func() T) []T {
	if !c.atMost(limit) {
		return nil
	}
	return list(c, read)
}

// atMost refuses an array of more than limit elements, before it is read.
func (c *cursor) atMost(limit int) bool {
	head := *c
	n := head.arrayLen()
	if n > limit {
		c.fail("a list of %d elements, at most %d are taken", n, limit)
	}
	return n <= limit
}

// list reads an array, one element a call. It grows as elements are read, so that the announced count alone costs
// nothing; read must fail on an element that is empty.
func list[T any](c *cursor, read func() T) []T { return listInto(c, nil, read) }

// listInto is list in the memory of items.
func listInto[T any](c *cursor, items []T, read func() T) []T {
	items = items[:0]
	n := c.arrayLen()
	if n == 0 || c.err != nil {
		return items
	}
	items = slices.Grow(items, min(n, 64))
	for ; n > 0 && c.err == nil; n-- {
		items = append(items, read())
	}
	return items
}

func (c *cursor) metrics() map[string]float64 {
	n := c.mapLen()
	if n == 0 || c.err != nil {
		return nil
	}
	metrics := make(map[string]float64, min(n, 64))
	for ; n > 0 && c.err == nil; n-- {
		name := c.text()
		metrics[name] = c.float()
	}
	return metrics
}

// extra reads a list of name, value, name, value.
func (c *cursor) extra() []spec.Field {
	n := c.arrayLen()
	if n%2 != 0 {
		c.fail("a list of %d names and values", n)
	}
	var fields []spec.Field
	for ; n > 0 && c.err == nil; n -= 2 {
		fields = append(fields, spec.Field{Name: c.text(), Value: json.RawMessage(c.bytes())})
	}
	return fields
}
