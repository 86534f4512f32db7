package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	// lineMax is the longest line of output that is looked at, in bytes; the rest of a longer one is passed over.
	lineMax = 64 << 10
	// proposalMax bounds what a proposer may print, in bytes.
	proposalMax = 8 << 20
	// tailMax is how much of the end of standard error is searched for the reason of a failure, in bytes.
	tailMax = 64 << 10
	// tailLines and tailBytes bound the end of standard error that a failure record shows.
	tailLines = 20
	tailBytes = 4 << 10
)

// logFile keeps one stream of an experiment's output on disk, up to a number of bytes. Writing never fails: an experiment
// must not die of a full disk under its log.
type logFile struct {
	file    *os.File
	room    int64
	dropped int64
	err     error // the first write error; what follows it is dropped
}

func createLog(path string, room int64) (*logFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &logFile{file: file, room: room}, nil
}

// add writes what there is room for and counts the rest.
func (l *logFile) add(b []byte) {
	part := b[:min(int64(len(b)), l.room)]
	if l.err != nil {
		part = nil
	}
	if len(part) > 0 {
		n, err := l.file.Write(part)
		l.err = err
		part = part[:n]
	}
	l.room -= int64(len(part))
	l.dropped += int64(len(b) - len(part))
}

// close ends the file, with a last line that says so if output was dropped. The error is the first one of the file.
func (l *logFile) close() error {
	var err error
	if l.dropped > 0 && l.err == nil {
		_, err = fmt.Fprintf(l.file, "\n[output cut here: %d bytes dropped]\n", l.dropped)
	}
	return errors.Join(l.err, err, l.file.Close())
}

// lineReader cuts a stream into lines at \n and \r. A line longer than max is cut off there.
type lineReader struct {
	max  int
	line func(line []byte)
	buf  []byte
}

// add takes the next bytes of the stream and calls line for each line that ended.
func (r *lineReader) add(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexAny(b, "\n\r")
		if end < 0 {
			r.extend(b)
			return
		}
		r.extend(b[:end])
		r.flush()
		b = b[end+1:]
	}
}

func (r *lineReader) extend(b []byte) {
	r.buf = append(r.buf, b[:min(len(b), r.max-len(r.buf))]...)
}

// flush ends the current line, at the stream's end too; empty lines are passed over.
func (r *lineReader) flush() {
	if len(r.buf) > 0 {
		r.line(r.buf)
		r.buf = r.buf[:0]
	}
}

// tail keeps the end of a stream.
type tail struct{ buf []byte }

func (t *tail) add(b []byte) {
	t.buf = append(t.buf, b[max(0, len(b)-tailMax):]...)
	if len(t.buf) > 2*tailMax {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailMax:]...)
	}
}

// lastLines returns the last lines for a person: at most tailLines of them and tailBytes bytes, valid UTF-8.
func (t *tail) lastLines() string {
	text := strings.TrimRight(string(t.buf[max(0, len(t.buf)-tailBytes):]), "\r\n")
	lines := strings.Split(text, "\n")
	text = strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
	text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
	return text
}

// outOfMemoryMarks are what programs print when memory ran out.
var outOfMemoryMarks = [][]byte{
	[]byte("CUDA out of memory"), []byte("CUDA_ERROR_OUT_OF_MEMORY"), []byte("OutOfMemoryError"),
	[]byte("MemoryError"), []byte("std::bad_alloc"), []byte("RESOURCE_EXHAUSTED: Out of memory"),
}

// outOfMemory returns the words by which the stream's end says that memory ran out; "" when it does not.
func (t *tail) outOfMemory() (evidence string) { return t.evidence(outOfMemoryMarks) }

// hardwareMarks are what programs print when a GPU, or its driver, has failed. Another attempt may do better on another.
var hardwareMarks = [][]byte{
	[]byte("uncorrectable ECC error"), []byte("CUDA_ERROR_ECC_UNCORRECTABLE"), []byte("CUDA_ERROR_NVLINK_UNCORRECTABLE"),
	[]byte("GPU is lost"), []byte("fallen off the bus"), []byte("CUDA_ERROR_HARDWARE_STACK_ERROR"), []byte("NVRM: Xid"),
	[]byte("CUDA driver initialization failed"), []byte("no CUDA-capable device is detected"),
	[]byte("CUDA-capable device(s) is/are busy or unavailable"),
}

// hardwareFault returns the words by which the stream's end says that the hardware has failed; "" when it does not.
func (t *tail) hardwareFault() (evidence string) { return t.evidence(hardwareMarks) }

func (t *tail) evidence(marks [][]byte) string {
	for _, mark := range marks {
		if bytes.Contains(t.buf, mark) {
			return "standard error says " + string(mark)
		}
	}
	return ""
}

// proposal collects what a proposer prints, without its progress lines.
type proposal struct {
	text []byte
	full bool
}

func (p *proposal) add(line []byte) {
	if len(p.text)+len(line)+1 > proposalMax {
		p.full = true
		return
	}
	p.text = append(append(p.text, line...), '\n')
}

// stream is one standard stream of an experiment: everything goes to the log and then to each listener. It implements
// io.Writer and never fails, so that the experiment never gets a broken pipe. One goroutine writes.
type stream struct {
	log       *logFile
	listeners []func([]byte)
}

// Write passes b on.
func (s *stream) Write(b []byte) (int, error) {
	s.log.add(b)
	for _, listen := range s.listeners {
		listen(b)
	}
	return len(b), nil
}
