package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mark says of one content of a file that this engine wrote it, and of which journal position. A file's marks lie in a
// sidecar: those of the newest content, and of the one before it, which a crash may have left.
type Mark struct {
	Hash Hash
	// JournalSeq is the journal record up to which the content shows the run; 0 when it was not noted.
	JournalSeq uint64
}

// SidecarOf names the sidecar of a file: engine/tree.sha256 for engine/tree.json.
func SidecarOf(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".sha256"
}

// WriteMarked is WriteFile of what the run is at a journal position. The sidecar learns of the content first.
func WriteMarked(path string, data []byte, seq uint64) error {
	sidecar := SidecarOf(path)
	marks, err := ReadMarks(sidecar)
	if err != nil {
		return err
	}
	_, onDisk, err := readFile(path)
	if err != nil {
		return err
	}
	mark := Mark{Hash: sha256.Sum256(data), JournalSeq: seq}
	marks = slices.DeleteFunc(marks, func(m Mark) bool { return m.Hash != onDisk || m.Hash == mark.Hash })
	if err := WriteFile(sidecar, appendMarks(nil, append([]Mark{mark}, marks...))); err != nil {
		return err
	}
	return WriteFile(path, data)
}

// markPosition begins the line with the position of the hash above it. Versions that know no positions pass it over.
const markPosition = "@"

func appendMarks(dst []byte, marks []Mark) []byte {
	for _, m := range marks {
		dst = append(append(dst, m.Hash.String()...), '\n')
		if m.JournalSeq != 0 {
			dst = append(dst, markPosition...)
			dst = append(strconv.AppendUint(dst, m.JournalSeq, 10), '\n')
		}
	}
	return dst
}

// markOf returns the mark of a content.
func markOf(marks []Mark, hash Hash) (m Mark, known bool) {
	i := slices.IndexFunc(marks, func(m Mark) bool { return m.Hash == hash })
	if i < 0 {
		return Mark{}, false
	}
	return marks[i], true
}

// ReadMarks reads a sidecar; nil when there is none. Lines that say nothing are passed over: then no content is known, and
// a person is asked.
func ReadMarks(sidecar string) ([]Mark, error) {
	text, _, err := readFile(sidecar)
	if err != nil || text == nil {
		return nil, err
	}
	marks := []Mark{}
	for line := range bytes.Lines(text) {
		word := strings.TrimSpace(string(line))
		if at, ok := strings.CutPrefix(word, markPosition); ok && len(marks) > 0 {
			if seq, err := strconv.ParseUint(at, 10, 64); err == nil {
				marks[len(marks)-1].JournalSeq = seq
			}
			continue
		}
		var hash Hash
		if digits, err := hex.DecodeString(word); err == nil && copy(hash[:], digits) == len(hash) {
			marks = append(marks, Mark{Hash: hash})
		}
	}
	return marks, nil
}
