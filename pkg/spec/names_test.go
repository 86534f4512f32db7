package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func TestEncodeName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "=", "exp_001-a": "exp_001-a", "a.b.*.>": "a=2Eb=2E=2A=2E=3E", ".": "=2E", "..": "=2E=2E", "=": "=3D",
		"é": "=C3=A9", "a/b c": "a=2Fb=20c", strings.Repeat("x", 120): strings.Repeat("x", 120),
		strings.Repeat("x", 121): strings.Repeat("x", 86) + "==" + "HASH",
	} {
		sum := sha256.Sum256([]byte(text))
		want = strings.Replace(want, "HASH", hex.EncodeToString(sum[:16]), 1)
		got := EncodeName(text)
		if got != want {
			t.Errorf("%q: %s", clip(text), got)
		}
	}
	// A cut never leaves half an escape.
	for indent := range 3 {
		text := strings.Repeat("x", indent) + strings.Repeat("é", 60)
		got := EncodeName(text)
		prefix, _, hashed := strings.Cut(got, "==")
		if start, ok := DecodeName(prefix); !ok || !hashed || !strings.HasPrefix(text, start) || len(got) > NameSizeMax {
			t.Errorf("%s", got)
		}
	}
	for _, token := range []string{"", ".", "a.b", "=2", "=2e", "=41", "a=", "==", "=G0", "x==" + strings.Repeat("0", 32), strings.Repeat("x", 121)} {
		if text, ok := DecodeName(token); ok {
			t.Errorf("%q decoded to %q", token, text)
		}
	}
}
