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

// block holds finished tasks of blockRows neighbouring rows, encoded and compressed together. It never changes: what
// finishes later comes with a new block.
type block struct {
	data []byte
	size int // of what it holds, unpacked
}

// records are the encoded tasks of a block by their rows; nil where it has none.
type records [blockRows][]byte

// newBlock packs records. Each stands behind its row and its length.
func newBlock(of *records) *block {
	var text []byte
	for i, record := range of {
		if record != nil {
			text = append(text, byte(i))
			text = binary.AppendUvarint(text, uint64(len(record)))
			text = append(text, record...)
		}
	}
	packed := packs().EncodeAll(text, nil)
	return &block{data: append(make([]byte, 0, len(packed)), packed...), size: len(text)}
}

// records unpacks the block into a buffer, which it returns, perhaps grown; the records refer to it.
func (b *block) records(buffer []byte) (r records, _ []byte) {
	if cap(buffer) < b.size {
		buffer = make([]byte, 0, b.size)
	}
	buffer, err := unpacks().DecodeAll(b.data, buffer[:0])
	if err != nil {
		panic(fmt.Sprintf("coordinator: unpack a block of %d bytes: %v", len(b.data), err))
	}
	for text := buffer; len(text) > 0; {
		i := text[0]
		size, n := binary.Uvarint(text[1:])
		text = text[1+n:]
		r[i], text = text[:size], text[size:]
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
	if u.last != r.block {
		u.records, u.buffer = r.block.records(u.buffer)
		u.last = r.block
	}
	t, err := bus.DecodeTask(u.records[r.row])
	if err != nil {
		panic(fmt.Sprintf("coordinator: unpack a task: %v", err)) // what is packed was encoded here
	}
	return t
}
