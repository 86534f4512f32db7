package spec

import (
	"bytes"
	"testing"
)

// TestPlainPrefixOfWords puts every byte at every place among plain ones.
func TestPlainPrefixOfWords(t *testing.T) {
	t.Parallel()
	const size = 20
	for place := range size {
		for c := range 256 {
			text := bytes.Repeat([]byte("~"), size)
			text[place] = byte(c)
			want := place
			if plainByte[c] {
				want = size
			}
			if got := plainPrefix(text); got != want {
				t.Errorf("%q: %d plain bytes, want %d", text, got, want)
			}
		}
	}
}
