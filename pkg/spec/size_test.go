package spec

import "testing"

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "65536": 65536, "12B": 12, "64KiB": 64 << 10, "64 MiB": 64 << 20, "1GiB": 1 << 30, "3000MiB": 3000 << 20,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%q is %d, error %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5MiB", "64MB", "MiB", "9223372036854775807KiB", "x"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
	for bytes, want := range map[int64]string{1: "1", 1000: "1000", 1 << 10: "1KiB", 64 << 20: "64MiB", 1 << 30: "1GiB", 3 << 29: "1536MiB"} {
		if got := FormatSize(bytes); got != want {
			t.Errorf("%d is %q, want %q", bytes, got, want)
		}
		if back, err := ParseSize(FormatSize(bytes)); back != bytes || err != nil {
			t.Errorf("%d comes back as %d, error %v", bytes, back, err)
		}
	}
}
