package kv

import (
	"strings"
	"testing"
)

// TestRunEntryKeepsWhatItDoesNotKnow writes back the fields of a newer version, and refuses what is no entry.
func TestRunEntryKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	e, err := decodeRunEntry([]byte(`{"version":7,"name":"a","workflow":"x","colour":"blue","args":["k=v"]}`))
	if err != nil || e.Weight != 1 || e.Args[0] != "k=v" {
		t.Fatalf("%+v, %v", e, err)
	}
	text, err := encodeRunEntry(e)
	if err != nil || !strings.Contains(string(text), `"colour":"blue"`) || !strings.Contains(string(text), `"name":"a"`) {
		t.Errorf("%s, %v", text, err)
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"version":1,"name":"a"}`, `{"name":"a","workflow":"x"}`} {
		if _, err := decodeRunEntry([]byte(bad)); err == nil {
			t.Errorf("%s is taken for an entry", bad)
		}
	}
}
