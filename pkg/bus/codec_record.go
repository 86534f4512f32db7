package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"autoresearch/pkg/spec"
)

// A stored form is sealed: two magic bytes, a byte for the form, the version, and a CRC-32C (Castagnoli, big-endian)
// over these four bytes and the msgpack body that follows it.
const (
	sealMagic  = "AR"
	sealSize   = 8
	formRecord = 'J'
	formMeta   = 'M'
	formValue  = 'V'
	formBase   = 'B'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DamageError says that a stored form was cut off or changed since it was written.
type DamageError struct {
	Form   string
	Reason string
}

// Error returns the form and the reason.
func (e *DamageError) Error() string { return e.Form + " is damaged: " + e.Reason }

// VersionError says that a stored form was written by a newer version than this build can read.
type VersionError struct {
	Form    string
	Version int
}

// Error returns the form and both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s was written in version %d of its format; this build reads up to version %d: use a newer build",
		e.Form, e.Version, RecordVersion)
}

// AppendOverhead is more than the headers of an append take, in bytes: a record may be as large as Conn.MaxPayload less
// this. The server counts headers too.
const AppendOverhead = 512

// ErrTooLarge: a message or a single change exceeds the size limit of a message.
var ErrTooLarge = errors.New("larger than a message may be")

// appendSeal appends a seal whose checksum closeSeal fills in.
func appendSeal(dst []byte, form byte) []byte {
	return append(dst, sealMagic[0], sealMagic[1], form, recordVersionPlain, 0, 0, 0, 0)
}

// closeSeal says whether the body names blobs.
func closeSeal(sealed []byte, blobs bool) {
	if blobs {
		sealed[3] = RecordVersion
	}
	binary.BigEndian.PutUint32(sealed[4:], checksum(sealed))
}

func checksum(sealed []byte) uint32 {
	return crc32.Update(crc32.Checksum(sealed[:4], castagnoli), castagnoli, sealed[sealSize:])
}

// openSeal returns the body of a sealed form and its version.
func openSeal(name string, form byte, data []byte) (body []byte, version int, err error) {
	switch {
	case len(data) < sealSize:
		return nil, 0, &DamageError{Form: name, Reason: fmt.Sprintf("%d bytes are too few", len(data))}
	case string(data[:2]) != sealMagic || data[2] != form:
		return nil, 0, &DamageError{Form: name, Reason: fmt.Sprintf("it begins with %q", data[:3])}
	case data[3] > RecordVersion:
		return nil, 0, &VersionError{Form: name, Version: int(data[3])}
	case data[3] == 0:
		return nil, 0, &DamageError{Form: name, Reason: "version 0"}
	case binary.BigEndian.Uint32(data[4:]) != checksum(data):
		return nil, 0, &DamageError{Form: name, Reason: "the checksum does not match"}
	}
	return data[sealSize:], int(data[3]), nil
}

// AppendRecord appends one record, sealed: k kind, u run UUID, e epoch, c commit, w writer, i part, n parts, t time,
// r watermark, W wall clock, m meta, what a newer version wrote, a acts, x changes. The version written does not depend on
// r.Version; Part and Parts of 0 are written as 1. It fails only on a record without a kind or a change without a task id.
func AppendRecord(dst []byte, r *Record) ([]byte, error) {
	if err := checkRecord(r); err != nil {
		return dst, err
	}
	start := len(dst)
	w := wire{out: appendSeal(dst, formRecord)}
	mark := w.recordHead(r, max(r.Part, 1), max(r.Parts, 1), true)
	if len(r.Acts) > 0 {
		w.key("a")
		w.code32(msgpcode.Array32, uint32(len(r.Acts)))
		for i := range r.Acts {
			w.act(&r.Acts[i])
		}
	}
	w.key("x")
	w.code32(msgpcode.Array32, uint32(len(r.Changes)))
	for _, change := range r.Changes {
		w.change(change)
	}
	w.closeMap(mark)
	closeSeal(w.out[start:], w.blobs)
	return w.out, nil
}

func checkRecord(r *Record) error {
	if r.Kind == 0 {
		return errors.New("encode journal record: no kind")
	}
	for i, change := range r.Changes {
		if change.Task == nil || change.Task.Spec.ID == "" {
			return fmt.Errorf("encode journal record: change %d has no task id", i+1)
		}
	}
	return nil
}

// recordHead writes all but the changes and leaves the map open. Part and parts take five bytes each whatever their
// values, so that the size of a head is known before they are.
func (w *wire) recordHead(r *Record, part, parts int, first bool) mapMark {
	mark := w.openMap()
	fieldUint(w, "k", r.Kind)
	fieldText(w, "u", r.RunID)
	fieldUint(w, "e", r.Epoch)
	fieldUint(w, "c", r.Commit)
	fieldUint(w, "w", r.Writer)
	w.key("i")
	w.code32(msgpcode.Uint32, uint32(part))
	w.key("n")
	w.code32(msgpcode.Uint32, uint32(parts))
	fieldInt(w, "t", r.Time)
	fieldUint(w, "r", r.Watermark)
	fieldInt(w, "W", r.Wall)
	if first {
		w.fieldMeta("m", r.Meta)
		w.unknown(r.Unknown)
	}
	return mark
}

// AppendChange appends one change as RecordEncoder writes it inside a record. Its length is the change's share of a
// record's size.
func AppendChange(dst []byte, c Change) ([]byte, error) {
	if c.Task == nil || c.Task.Spec.ID == "" {
		return dst, errors.New("encode change: no task id")
	}
	w := wire{out: dst}
	w.change(c)
	return w.out, nil
}

// RecordEncoder encodes one record after the other, in the same memory. It is one goroutine's.
type RecordEncoder struct {
	items wire   // the acts, then the changes, before it is known where to cut
	ends  []int  // where each of them ends
	blobs []bool // whether it names a blob
	parts wire   // one behind the other; before, to measure heads
}

// encoderKeptMax bounds what an encoder keeps of a large commit.
const encoderKeptMax = 4 << 20

// Encode returns r as one record, or as a series of consecutive parts (same Commit, Part i of n) that are at most
// limit bytes each; limit 0 means no limit. r.Part and r.Parts are ignored. Meta and Unknown travel in the first part,
// each act and each change in exactly one. A change that does not fit a part of its own gives a *TooLargeError that names its task.
// The parts do not refer to r; they are the encoder's, and good until its next use.
func (e *RecordEncoder) Encode(r *Record, limit int) ([][]byte, error) {
	if err := checkRecord(r); err != nil {
		return nil, err
	}
	if cap(e.items.out) > encoderKeptMax {
		*e = RecordEncoder{}
	}
	e.fill(r)
	cuts, err := e.cut(r, limit)
	if err != nil {
		return nil, err
	}
	e.parts.out = slices.Grow(e.parts.out[:0], len(cuts)*headSizeGuess+len(e.items.out))
	parts := make([][]byte, len(cuts))
	from := 0
	for i, to := range cuts {
		parts[i] = e.part(r, i, len(cuts), from, to)
		from = to
	}
	return parts, nil
}

func (e *RecordEncoder) fill(r *Record) {
	e.items.out, e.ends, e.blobs = e.items.out[:0], e.ends[:0], e.blobs[:0]
	for i := range r.Acts {
		e.items.act(&r.Acts[i])
		e.ends, e.blobs = append(e.ends, len(e.items.out)), append(e.blobs, false)
	}
	for _, change := range r.Changes {
		e.items.blobs = false
		e.items.change(change)
		e.ends, e.blobs = append(e.ends, len(e.items.out)), append(e.blobs, e.items.blobs)
	}
}

// TooLargeError says that one change, or the head of a record, exceeds the message limit. It wraps ErrTooLarge.
type TooLargeError struct {
	Task  spec.TaskID // the change's task; "" for the head
	Size  int         // in bytes, with the head of a record
	Limit int
}

// Error names the task.
func (e *TooLargeError) Error() string {
	if e.Task == "" {
		return fmt.Sprintf("journal record: its head takes %d bytes, a message holds %d", e.Size, e.Limit)
	}
	return fmt.Sprintf("journal record: task %q takes %d bytes, a message holds %d", e.Task, e.Size, e.Limit)
}

// Unwrap returns ErrTooLarge.
func (e *TooLargeError) Unwrap() error { return ErrTooLarge }

// cut returns, for each part, the index after its last item.
func (e *RecordEncoder) cut(r *Record, limit int) ([]int, error) {
	if limit <= 0 {
		return []int{len(e.ends)}, nil
	}
	head, rest := e.headSize(r, true), e.headSize(r, false)
	if head > limit {
		return nil, &TooLargeError{Size: head, Limit: limit}
	}
	var cuts []int
	begin, used := 0, head
	for i, end := range e.ends {
		size := end - begin
		begin = end
		if used+size > limit {
			cuts, used = append(cuts, i), rest
		}
		if used+size > limit {
			return nil, &TooLargeError{Task: itemTask(r, i), Size: used + size, Limit: limit}
		}
		used += size
	}
	return append(cuts, len(e.ends)), nil
}

// itemTask names the task that an item is about.
func itemTask(r *Record, i int) spec.TaskID {
	if i < len(r.Acts) {
		return r.Acts[i].Task
	}
	return r.Changes[i-len(r.Acts)].Task.Spec.ID
}

// headSize is the size of a part without its items.
func (e *RecordEncoder) headSize(r *Record, first bool) int {
	e.parts.out = e.parts.out[:0]
	e.parts.recordHead(r, 1, 1, first)
	size := sealSize + len(e.parts.out) + listHeadSize
	if len(r.Acts) > 0 {
		size += listHeadSize
	}
	return size
}

// listHeadSize is the size of a key of one letter and an array's head.
const listHeadSize = 2 + 5

// part appends one part to the others, and returns it.
func (e *RecordEncoder) part(r *Record, index, parts, from, to int) []byte {
	acts := min(max(from, len(r.Acts)), to) // the end of the part's acts
	begin, middle, end := e.start(from), e.start(acts), e.start(to)
	w, own := &e.parts, len(e.parts.out)
	w.out = appendSeal(w.out, formRecord)
	mark := w.recordHead(r, index+1, parts, index == 0)
	if acts > from {
		w.key("a")
		w.code32(msgpcode.Array32, uint32(acts-from))
		w.out = append(w.out, e.items.out[begin:middle]...)
	}
	w.key("x")
	w.code32(msgpcode.Array32, uint32(to-acts))
	w.closeMap(mark)
	w.out = append(w.out, e.items.out[middle:end]...)
	part := w.out[own:len(w.out):len(w.out)]
	closeSeal(part, slices.Contains(e.blobs[from:to], true))
	return part
}

// start is where an item begins in the buffer.
func (e *RecordEncoder) start(item int) int {
	if item == 0 {
		return 0
	}
	return e.ends[item-1]
}

// headSizeGuess is room for a head without a Meta.
const headSizeGuess = 160

// DecodeRecord reads a record. The errors are *DamageError, *VersionError and *FormatError.
func DecodeRecord(data []byte) (*Record, error) {
	body, version, err := openSeal("journal record", formRecord, data)
	if err != nil {
		return nil, err
	}
	c := newCursor("journal record", body)
	r := &Record{Version: version}
	c.fields(&r.Unknown, func(key []byte) bool { return c.recordField(r, key) })
	if r.Kind == 0 || r.Part < 1 || r.Part > r.Parts {
		c.fail("kind %d, part %d of %d", r.Kind, r.Part, r.Parts)
	}
	if c.err != nil {
		return nil, c.err
	}
	return r, nil
}

func (c *cursor) recordField(r *Record, key []byte) bool {
	switch string(key) {
	case "k":
		r.Kind = RecordKind(c.uint(math.MaxUint8))
	case "u":
		r.RunID = c.text()
	case "e":
		r.Epoch = c.uint64()
	case "c":
		r.Commit = c.uint64()
	case "w":
		r.Writer = c.uint64()
	case "i":
		r.Part = int(c.uint32())
	case "n":
		r.Parts = int(c.uint32())
	case "t":
		r.Time = spec.EngineTime(c.int())
	case "r":
		r.Watermark = c.uint64()
	case "W":
		r.Wall = spec.WallTime(c.int())
	case "a":
		r.Acts = list(c, c.act)
	case "m":
		r.Meta = &Meta{}
		c.meta(r.Meta)
	case "x":
		r.Changes = list(c, c.change)
	default:
		return false
	}
	return true
}

// fieldMeta writes a Meta: s status, y stop reason, p paused, pk paused classes, b budget, bk budgets of classes,
// d drained, l loaded, h import hash, q next arrival number, o next outcome number, i results stream, x quarantined GPUs, v allowances, w warned,
// g rules.
func (w *wire) fieldMeta(key string, m *Meta) {
	if m == nil {
		return
	}
	w.key(key)
	mark := w.openMap()
	fieldText(w, "s", m.Status)
	fieldText(w, "y", m.StopReason)
	w.fieldBool("p", m.Paused)
	fieldTexts(w, "pk", m.PausedClasses)
	fieldInt(w, "b", m.Budget)
	fieldAmounts(w, "bk", m.ClassBudgets)
	w.fieldBool("d", m.Drained)
	w.fieldBool("l", m.Loaded)
	fieldText(w, "h", m.ImportHash)
	fieldUint(w, "q", m.NextSeq)
	fieldUint(w, "o", m.NextOrder)
	fieldUint(w, "i", m.ResultsID)
	fieldList(w, "x", m.Quarantined, (*wire).quarantine)
	w.fieldAllowances("v", m.Allowances)
	fieldAmounts(w, "w", m.Warned)
	w.fieldRules("g", m.Rules)
	w.unknown(m.Unknown)
	w.closeMap(mark)
}

// fieldRules writes Rules: b budget, k kinds, each with c class and u uncounted.
func (w *wire) fieldRules(key string, r *spec.Rules) {
	if r == nil {
		return
	}
	w.key(key)
	mark := w.openMap()
	fieldInt(w, "b", r.Budget)
	if len(r.Kinds) > 0 {
		w.key("k")
		w.mapLen(len(r.Kinds))
		for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
			w.text(kind)
			rule := w.openMap()
			fieldText(w, "c", r.Kinds[kind].Class)
			w.fieldBool("u", r.Kinds[kind].Uncounted)
			w.closeMap(rule)
		}
	}
	w.closeMap(mark)
}

// fieldAmounts writes whole numbers by name.
func fieldAmounts[K ~string, V ~int | ~int64](w *wire, key string, amounts map[K]V) {
	if len(amounts) == 0 {
		return
	}
	w.key(key)
	w.mapLen(len(amounts))
	for _, name := range slices.Sorted(maps.Keys(amounts)) {
		w.text(string(name))
		w.int(int64(amounts[name]))
	}
}

func (c *cursor) meta(m *Meta) {
	c.fields(&m.Unknown, func(key []byte) bool {
		switch string(key) {
		case "s":
			m.Status = spec.Status(c.text())
		case "y":
			m.StopReason = c.text()
		case "p":
			m.Paused = c.bool()
		case "pk":
			m.PausedClasses = list(c, c.text)
		case "b":
			m.Budget = int(c.int())
		case "bk":
			m.ClassBudgets = amounts[string, int](c)
		case "d":
			m.Drained = c.bool()
		case "l":
			m.Loaded = c.bool()
		case "h":
			m.ImportHash = c.text()
		case "q":
			m.NextSeq = c.uint64()
		case "o":
			m.NextOrder = c.uint64()
		case "i":
			m.ResultsID = c.uint64()
		case "x":
			m.Quarantined = list(c, c.quarantine)
		case "v":
			m.Allowances = c.allowances()
		case "w":
			m.Warned = amounts[spec.Limit, int64](c)
		case "g":
			m.Rules = c.rules()
		default:
			return false
		}
		return true
	})
}

func (c *cursor) rules() *spec.Rules {
	r := &spec.Rules{}
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "b":
			r.Budget = int(c.int())
		case "k":
			r.Kinds = c.kindRules()
		default:
			return false
		}
		return true
	})
	return r
}

func (c *cursor) kindRules() map[string]spec.KindRule {
	n := c.mapLen()
	rules := make(map[string]spec.KindRule, min(n, 64))
	for ; n > 0 && c.err == nil; n-- {
		kind, rule := c.text(), spec.KindRule{}
		c.fields(nil, func(key []byte) bool {
			switch string(key) {
			case "c":
				rule.Class = c.text()
			case "u":
				rule.Uncounted = c.bool()
			default:
				return false
			}
			return true
		})
		rules[kind] = rule
	}
	return rules
}

func amounts[K ~string, V ~int | ~int64](c *cursor) map[K]V {
	n := c.mapLen()
	amounts := make(map[K]V, min(n, 64))
	for ; n > 0 && c.err == nil; n-- {
		name := K(c.text())
		amounts[name] = V(c.int())
	}
	return amounts
}
