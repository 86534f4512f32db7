package spec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// addSeeds adds the original's files and some texts by hand.
func addSeeds(f *testing.F, texts ...string) {
	f.Helper()
	for name := range seedRewrites() {
		f.Add(readSeed(f, name))
	}
	for _, text := range texts {
		f.Add([]byte(text))
	}
}

// checkStable fails unless a text that was read is written, read and written as the same text, and is strict JSON in
// its strict form.
func checkStable[T any](t *testing.T, text []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	t.Helper()
	value, err := decode(text)
	if err != nil {
		return
	}
	written := encode(value)
	again, err := decode(written)
	if err != nil {
		t.Fatalf("%q was read, but not %q, which was written: %v", text, written, err)
	}
	if rewritten := encode(again); !bytes.Equal(rewritten, written) {
		t.Fatalf("%q: written %q, then %q", text, written, rewritten)
	}
	if marshaler, ok := any(value).(json.Marshaler); ok {
		strict, err := marshaler.MarshalJSON()
		if err != nil || !json.Valid(strict) {
			t.Fatalf("%q: not strict: %q, %v", text, strict, err)
		}
		if _, err := decode(strict); err != nil {
			t.Fatalf("%q: the strict form %q is not read: %v", text, strict, err)
		}
	}
}

func FuzzDecodeTaskSpec(f *testing.F) {
	addSeeds(f, `{"id":"a"}`, `{"id":5,"priority":"-inf","kind":null,"payload":[],"parent":3,"x":NaN}`,
		`{"id":"\ud800é","payload":{"a":[1e999,-0,"\/"],"a":{}},"id":"b"}`, `{"id":["\"'"],"priority":true,"parent":"p"}`)
	f.Fuzz(func(t *testing.T, text []byte) {
		checkStable(t, text, DecodeTaskSpec, func(task TaskSpec) []byte { return task.AppendJSON(nil) })
		task, err := DecodeTaskSpec(text)
		if err != nil {
			return
		}
		again, err := DecodeTaskSpec(task.AppendJSON(nil))
		if err != nil || !task.SameContent(again) || task.ID != again.ID || task.Priority != again.Priority || task.Parent != again.Parent {
			t.Fatalf("%q became %+v, %v", text, again, err)
		}
		if err := task.Validate(); err != nil {
			t.Fatalf("%q was read, but: %v", text, err)
		}
	})
}

func FuzzEngineState(f *testing.F) {
	addSeeds(f, `{}`, `{"queued":[{"id":"a"}],"running":[{"id":"b","payload":{"x":[[],{}]}}],"schema_version":1}`, `{"queued":null}`)
	f.Fuzz(func(t *testing.T, text []byte) {
		checkStable(t, text, DecodeEngineState, func(state EngineState) []byte { return state.AppendIndented(nil) })
	})
}

func FuzzFailureRecord(f *testing.F) {
	addSeeds(f, `{"kind":"job_failed","phase":"job"}`, `{"kind":"interrupted","phase":"runner","details":{"a":NaN,"b":[{}]},"message":null,"x":1}`)
	f.Fuzz(func(t *testing.T, text []byte) {
		checkStable(t, text, DecodeFailureRecord, func(record FailureRecord) []byte { return record.AppendJSON(nil) })
	})
}

func FuzzResultFile(f *testing.F) {
	addSeeds(f, `{}`, `{"metrics":{"a":1,"b":NaN,"a":-Infinity},"children":[{"id":"c"}],"output":{"x":[1]},"failure":{"message":"m"}}`,
		`{"metrics":null,"failure":{"kind":"?"}}`)
	f.Fuzz(func(t *testing.T, text []byte) { checkStable(t, text, DecodeResultFile, EncodeResultFile) })
}

func FuzzTree(f *testing.F) {
	f.Add([]byte("[" + string(readSeed(f, "hypothesis_node.failed.json")) + "," + string(readSeed(f, "hypothesis_node.minimal.json")) + "]"))
	addSeeds(f, `[]`, `[{"node_id":1,"name":2,"launched_at":"inf","result":NaN,"children":[null,[]],"y":{}}]`)
	f.Fuzz(func(t *testing.T, text []byte) { checkStable(t, text, DecodeTree, EncodeTree) })
}

func FuzzPayload(f *testing.F) {
	addSeeds(f, `{"a":[1,{"b":NaN}],"\u00e9":"\ud83d\ude00\ud800","é":-0.0}`, ` {"b":1 , "a":1e400}`)
	f.Fuzz(func(t *testing.T, text []byte) {
		payload, err := ParsePayload(text)
		if err != nil {
			return
		}
		value, err := payload.Decode()
		if err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		encoded, err := EncodeValue(value)
		if err != nil || !SameValue(encoded, payload) || !SameValue(payload, text) {
			t.Fatalf("%q became %q, %v", payload, encoded, err)
		}
		if back, err := Payload(encoded).Decode(); err != nil || !reflect.DeepEqual(back, value) {
			t.Fatalf("%q became %#v, %v", encoded, back, err)
		}
		if !json.Valid(payload.Strict()) {
			t.Fatalf("not strict: %q", payload.Strict())
		}
	})
}

func FuzzName(f *testing.F) {
	for _, text := range []string{"", "=", "a.b", "a=2Eb", "==", "é", "=41", "naïve/µ-lr ☃.v2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token := EncodeName(text)
		if token == "" || len(token) > NameSizeMax {
			t.Fatalf("%q became %q", text, token)
		}
		if back, ok := DecodeName(token); ok && back != text || !ok && len(text) <= NameSizeMax/3 {
			t.Fatalf("%q became %q, and %q, %v", text, token, back, ok)
		}
		if back, ok := DecodeName(text); ok && EncodeName(back) != text {
			t.Fatalf("%q decodes to %q", text, back)
		}
	})
}
