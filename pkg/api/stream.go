package api

import (
	"bufio"
	"io"
	"strings"
)

// streamLineMax bounds a line of a stream of events.
const streamLineMax = 16 << 20

// readStream reads server-sent events and calls f with the id and the data of each; either may be empty.
func readStream(r io.Reader, f func(id, data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, streamLineMax)
	var id, data string
	for lines.Scan() {
		line := lines.Text()
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if err := f(id, data); err != nil {
				return err
			}
			id, data = "", ""
		case name == "id":
			id = value
		case name == "data":
			data += value
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
