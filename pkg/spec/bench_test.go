package spec

import (
	"fmt"
	"strings"
	"testing"
)

// bigState returns a state of n queued tasks with a payload of the usual kind.
func bigState(n int) EngineState {
	state := EngineState{Status: StatusRunning}
	for i := range n {
		state.Queued = append(state.Queued, TaskSpec{
			ID: TaskID(fmt.Sprintf("exp_%06d", i)), Priority: float64(i) / 8, Kind: "experiment",
			Payload: Payload(fmt.Sprintf(`{"command":"python train.py --lr 3e-4","seed":%d,"layers":[64,128,256],"note":"caf\u00e9"}`, i)),
		})
	}
	return state
}

func BenchmarkEngineStateAppendIndented(b *testing.B) {
	state := bigState(10_000)
	text := state.AppendIndented(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		text = state.AppendIndented(text[:0])
	}
}

func BenchmarkDecodeEngineState(b *testing.B) {
	text := bigState(10_000).AppendIndented(nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEngineState(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContentHash(b *testing.B) {
	usual, long := bigState(1).Queued[0], TaskSpec{Payload: Payload(`{"text":"` + strings.Repeat("long", 50) + `"}`)}
	for name, task := range map[string]TaskSpec{"usual": usual, "long": long} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				task.ContentHash()
			}
		})
	}
}
