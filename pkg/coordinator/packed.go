package coordinator

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// blockRows is how many neighbouring rows share a block: more of them compress hardly better, and one is read less cheaply.
const blockRows = 32

// recordMax is the size from which on a task stays as it is: its payload or its result is most of it then, and a block that
// holds it would be slow to read for all its neighbours.
const recordMax = 8 << 10

// block holds tasks of blockRows neighbouring rows, encoded: those that have finished, compressed together, and those that
// rest in the queue as they are, for each is read alone when its turn comes. It never changes: what is packed later comes with a
// new block.
type block struct {
	finished []byte // their text, compressed
	size     int    // of that text
	resting  []byte // where the record of each row ends, as 32 bits each, and the records
	rests    uint32 // the rows whose record there counts, one bit each
}

// records are the encoded tasks of a block by their rows; nil where it has none.
type records [blockRows][]byte

// compress packs what has finished.
func (b *block) compress(finished *records) {
	text := finished.text()
	packed := packs().EncodeAll(text, nil)
	b.finished, b.size = append(make([]byte, 0, len(packed)), packed...), len(text)
}

// endsSize is how many bytes of what rests say where the records end.
const endsSize = 4 * blockRows

// rest packs what rests.
func (b *block) rest(resting *records) {
	size := endsSize
	for _, record := range resting {
		size += len(record)
	}
	if b.resting, b.rests = nil, 0; size == endsSize {
		return
	}
	b.resting = make([]byte, endsSize, size)
	for row, record := range resting {
		b.resting = append(b.resting, record...)
		binary.LittleEndian.PutUint32(b.resting[4*row:], uint32(len(b.resting)))
		if record != nil {
			b.rests |= 1 << row
		}
	}
}

// hollow reports whether less than half of the memory for what rests is for records that count.
func (b *block) hollow() bool {
	used := 0
	for row := range blockRows {
		used += len(b.restingAt(row))
	}
	return used < (len(b.resting)-endsSize)/2
}

// restingAt returns the record of a row's task, nil unless the block has it as one that rests.
func (b *block) restingAt(row int) []byte {
	if b.rests&(1<<row) == 0 {
		return nil
	}
	begin := uint32(endsSize)
	if row > 0 {
		begin = binary.LittleEndian.Uint32(b.resting[4*(row-1):])
	}
	end := binary.LittleEndian.Uint32(b.resting[4*row:])
	return b.resting[begin:end:end]
}

// text returns the records one after the other, each behind its row and its length.
func (r *records) text() []byte {
	size := 0
	for _, record := range r {
		size += 1 + binary.MaxVarintLen16 + len(record)
	}
	text := make([]byte, 0, size)
	for row, record := range r {
		if record != nil {
			text = append(text, byte(row))
			text = binary.AppendUvarint(text, uint64(len(record)))
			text = append(text, record...)
		}
	}
	return text
}

// records unpacks what has finished into a buffer, which it returns, perhaps grown; the records refer to it.
func (b *block) records(buffer []byte) (r records, _ []byte) {
	if b.size == 0 {
		return r, buffer
	}
	if cap(buffer) < b.size {
		buffer = make([]byte, 0, b.size)
	}
	buffer, err := unpacks().DecodeAll(b.finished, buffer[:0])
	if err != nil {
		panic(fmt.Sprintf("coordinator: unpack a block of %d bytes: %v", len(b.finished), err))
	}
	for text := buffer; len(text) > 0; {
		row := text[0]
		size, n := binary.Uvarint(text[1:])
		text = text[1+n:]
		r[row], text = text[:size], text[size:]
	}
	return r, buffer
}

// One of each serves all runs of a process. Both are safe for concurrent use.
var (
	packs = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
		if err != nil {
			panic(fmt.Sprintf("coordinator: make an encoder of blocks: %v", err))
		}
		return e
	})
	unpacks = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(fmt.Sprintf("coordinator: make a decoder of blocks: %v", err))
		}
		return d
	})
)

// ref is a task as it was when a reader copied it under the ledger's lock: at hand, or in the block of its row.
type ref struct {
	task  *spec.Task
	block *block
	row   int // in the block
}

// finished reports whether the task has.
func (r ref) finished() bool {
	if r.task != nil {
		return r.task.State.Terminal()
	}
	return r.block.restingAt(r.row) == nil
}

// unpacker reads packed tasks, without any lock. It keeps the block that it read last: a sweep unpacks each once. It is one
// goroutine's.
type unpacker struct {
	last    *block
	records records
	buffer  []byte
}

// task returns the task that a ref is of. One that was packed is a new copy each time.
func (u *unpacker) task(r ref) *spec.Task {
	if r.task != nil {
		return r.task
	}
	t, err := bus.DecodeTask(u.record(r))
	if err != nil {
		panic(fmt.Sprintf("coordinator: unpack a task: %v", err)) // what is packed was encoded here
	}
	return t
}

// record returns what is packed of a task.
func (u *unpacker) record(r ref) []byte {
	if resting := r.block.restingAt(r.row); resting != nil {
		return resting
	}
	if u.last != r.block {
		u.records, u.buffer = r.block.records(u.buffer)
		u.last = r.block
	}
	return u.records[r.row]
}
