package worker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// A spool file is a row of frames, little endian:
//
//	magic   4 bytes  "ARf1"
//	length  uint32   bytes of the body
//	crc     uint32   CRC-32C of seq, kind and body
//	seq     uint64   number of the result, never repeated within a file
//	kind    uint8    frameResult or frameDrop
//	body    a result as the bus encodes it, or the uint64 numbers of results that were receipted
const (
	frameMagic      = "ARf1"
	frameHeaderSize = 21
	// frameBodyMax bounds what a reader believes a length to be. The largest result is half of it.
	frameBodyMax = 2 << 20

	frameResult = 1
	frameDrop   = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one frame of a spool file. body is valid only until the reader goes on.
type frame struct {
	seq  uint64
	kind uint8
	body []byte
}

// appendFrame appends one frame to dst.
func appendFrame(dst []byte, f frame) []byte {
	start := len(dst)
	dst = append(dst, frameMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.body)))
	dst = append(dst, 0, 0, 0, 0) // the checksum, below
	dst = binary.LittleEndian.AppendUint64(dst, f.seq)
	dst = append(dst, f.kind)
	dst = append(dst, f.body...)
	sum := crc32.Checksum(dst[start+12:], castagnoli)
	binary.LittleEndian.PutUint32(dst[start+8:], sum)
	return dst
}

// scanSpool calls fn for every sound frame of r in order, with the offset of its body. Bytes that are no sound frame (a
// torn tail, a flipped bit) are skipped up to the next sound one. It returns where the last sound frame ends and how
// many bytes were skipped, those behind that end included. Memory use is bounded whatever r holds. The error is r's.
func scanSpool(r io.Reader, fn func(f frame, bodyAt int64)) (end, skipped int64, err error) {
	in := bufio.NewReaderSize(r, frameHeaderSize+frameBodyMax)
	var at int64
	for {
		f, err := peekFrame(in)
		if err == nil {
			fn(f, at+frameHeaderSize)
			at += discard(in, frameHeaderSize+len(f.body))
			end = at
			continue
		}
		if !errors.Is(err, errUnsound) {
			return end, skipped, err
		}
		n := discard(in, gapToMagic(in))
		if n == 0 {
			return end, skipped, nil
		}
		at += n
		skipped += n
	}
}

var errUnsound = errors.New("no sound frame here")

// peekFrame returns the frame at the reader's position without moving it.
func peekFrame(in *bufio.Reader) (frame, error) {
	header, err := peek(in, frameHeaderSize)
	if err != nil {
		return frame{}, err
	}
	length := int(binary.LittleEndian.Uint32(header[4:]))
	if string(header[:4]) != frameMagic || length > frameBodyMax {
		return frame{}, errUnsound
	}
	whole, err := peek(in, frameHeaderSize+length)
	if err != nil {
		return frame{}, err
	}
	if crc32.Checksum(whole[12:], castagnoli) != binary.LittleEndian.Uint32(whole[8:]) {
		return frame{}, errUnsound
	}
	return frame{
		seq:  binary.LittleEndian.Uint64(whole[12:]),
		kind: whole[20],
		body: whole[frameHeaderSize:],
	}, nil
}

// peek returns the next n bytes, or errUnsound when the file ends before.
func peek(in *bufio.Reader, n int) ([]byte, error) {
	b, err := in.Peek(n)
	if errors.Is(err, io.EOF) {
		return nil, errUnsound
	}
	return b, err
}

// gapToMagic returns how many of the buffered bytes to pass before a frame could begin: at least one, unless there are none.
func gapToMagic(in *bufio.Reader) int {
	buffered, _ := in.Peek(in.Buffered()) // never more than is there, so never an error
	if len(buffered) == 0 {
		return 0
	}
	if i := bytes.Index(buffered[1:], []byte(frameMagic)); i >= 0 {
		return i + 1
	}
	return max(1, len(buffered)-len(frameMagic)+1)
}

// discard passes n buffered bytes.
func discard(in *bufio.Reader, n int) int64 {
	passed, _ := in.Discard(n) // they were peeked, so they are there
	return int64(passed)
}
