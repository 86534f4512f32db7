package bus

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// fuzz feeds a decoder with anything. What it takes must survive being written and read again. The bytes of sealed
// forms are sealed here, or the checksum would keep everything out.
func fuzz(f *testing.F, form form) {
	valid, err := form.encode(form.filled())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(form.body(valid))
	files, err := filepath.Glob(filepath.Join("testdata", "v1", "*.bin"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(form.body(data))
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := form.decode(body); err != nil && form.sealed == 0 {
			return
		}
		value, err := form.decode(form.seal(body))
		if err != nil {
			return
		}
		first, err := form.encode(value)
		if err != nil {
			t.Fatalf("decoded and not encoded: %v", err)
		}
		again, err := form.decode(first)
		if err != nil {
			t.Fatalf("encoded and not decoded: %v", err)
		}
		if second, err := form.encode(again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("error %v\nfirst  %x\nsecond %x", err, first, second)
		}
	})
}

func FuzzDecodeDispatch(f *testing.F)      { fuzz(f, forms[0]) }
func FuzzDecodeDispatches(f *testing.F)    { fuzz(f, forms[len(forms)-1]) }
func FuzzDecodeUplink(f *testing.F)        { fuzz(f, forms[1]) }
func FuzzDecodeAnswer(f *testing.F)        { fuzz(f, forms[2]) }
func FuzzDecodeResultMessage(f *testing.F) { fuzz(f, forms[3]) }
func FuzzDecodeResult(f *testing.F)        { fuzz(f, forms[4]) }
func FuzzDecodeRecord(f *testing.F)        { fuzz(f, forms[5]) }
func FuzzDecodeMirrorMeta(f *testing.F)    { fuzz(f, forms[6]) }
func FuzzDecodeMirrorValue(f *testing.F)   { fuzz(f, forms[7]) }
func FuzzDecodeRejected(f *testing.F)      { fuzz(f, forms[8]) }
func FuzzDecodeDemand(f *testing.F)        { fuzz(f, forms[9]) }

// FuzzUntrusted: what is only looked at never panics, and a result that passes the check can be read.
func FuzzUntrusted(f *testing.F) {
	valid, err := forms[4].encode(forms[4].filled())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		SalvageResults(data)
		children, err := CheckResult(data, 2)
		if result, readErr := DecodeResult(data); err == nil && readErr == nil && len(result.Children) != children {
			t.Fatalf("%d children were counted, %d are there", children, len(result.Children))
		}
	})
}
