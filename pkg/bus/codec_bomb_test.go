package bus

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"autoresearch/pkg/spec"
)

// bombMax is how much memory one message that is refused may cost.
const bombMax = 1 << 20

// items is a map with one key whose value is a list, or a map, of n times the same item.
func items(key string, head byte, n int, item []byte) []byte {
	w := wire{}
	mark := w.openMap()
	w.key("w")
	w.text("w")
	w.key(key)
	w.code32(head, uint32(n))
	w.out = append(w.out, bytes.Repeat(item, n)...)
	w.closeMap(mark)
	return w.out
}

func small(write func(w *wire)) []byte {
	w := wire{}
	mark := w.openMap()
	write(&w)
	w.closeMap(mark)
	return w.out
}

func bombs(t *testing.T) map[string]func() error {
	t.Helper()
	ref := small(func(w *wire) { fieldText(w, "i", "t") })
	reports := items("r", msgpcode.Array32, 150_000, ref)
	finished := items("d", msgpcode.Array32, 150_000, ref)
	children := items("c", msgpcode.Array32, 1_000_000, ref)
	metrics := items("m", msgpcode.Map32, 300_000, []byte{0xa1, 'm', 1})
	nested := append([]byte{0x81, 0xa1, 'w'}, bytes.Repeat([]byte{0x91}, 1_000_000)...)
	unknown := items("c", msgpcode.Array32, 1, small(func(w *wire) {
		fieldText(w, "i", "t")
		w.key("x")
		w.code32(msgpcode.Array32, 500_000)
		w.out = append(w.out, bytes.Repeat([]byte{0xa0}, 500_000)...)
	}))
	details, err := EncodeResultMessage(&ResultMessage{Worker: "w", Reports: []Report{{
		AttemptRef: AttemptRef{Task: "t"}, Failure: &spec.FailureRecord{
			Kind: spec.JobFailed, Phase: spec.PhaseJob, Details: map[string]any{"list": make([]any, 200_000)},
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	message := func(data []byte) func() error {
		return func() error { _, err := DecodeResultMessage(data); return err }
	}
	result := func(data []byte) func() error {
		return func() error {
			n, err := CheckResult(data, 10_000)
			if err == nil && n > 10_000 {
				err = &FormatError{Reason: fmt.Sprintf("%d children", n)}
			}
			return err
		}
	}
	uplink := func(data []byte) func() error { return func() error { _, err := DecodeUplink(data); return err } }
	return map[string]func() error{
		"reports": message(reports), "details": message(details), "nested": message(nested), "finished": uplink(finished),
		"children": result(children), "metrics": result(metrics), "nested result": result(nested), "unknown keys": result(unknown),
	}
}

// A message made to fill the memory is refused before it does.
func TestBombs(t *testing.T) {
	for name, decode := range bombs(t) {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := decode()
			runtime.ReadMemStats(&after)
			var malformed *FormatError
			if !errors.As(err, &malformed) {
				t.Errorf("it was taken: %v", err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > bombMax {
				t.Errorf("refusing it took %d bytes", grown)
			}
		})
	}
}

// What can be told of a message that is refused is told: its sender, and the attempts before the damage.
func TestSalvageResults(t *testing.T) {
	ref := AttemptRef{Run: "r", Task: "t", Attempt: 1, Claim: 7}
	data, err := EncodeResultMessage(&ResultMessage{
		Worker: "w", Boot: 3, Reports: []Report{{AttemptRef: ref, Body: []byte("body")}, {AttemptRef: AttemptRef{Task: "u"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		worker, _, refs := SalvageResults(data[:cut])
		if worker != "" && worker != "w" || len(refs) > 1 || len(refs) == 1 && refs[0] != ref {
			t.Fatalf("the first %d bytes tell of %q, %v", cut, worker, refs)
		}
	}
	worker, boot, refs := SalvageResults(data[:len(data)-1])
	if worker != "w" || boot != 3 || len(refs) != 1 {
		t.Errorf("salvaged %q, boot %d, %v", worker, boot, refs)
	}
}
