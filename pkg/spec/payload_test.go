package spec

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParsePayload(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		` { } `: `{}`,
		"{\n\"a\" :\t[ 1 , 2.50 , -0.0 ],\"b\":\"\\u00e9 é\\/\"}": `{"a":[1,2.50,-0.0],"b":"\u00e9 é\/"}`,
		`{"a":123456789012345678901234567890,"a":NaN}`:            `{"a":123456789012345678901234567890,"a":NaN}`,
	} {
		if got, err := ParsePayload([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `[]`, `null`, `{} {}`, `{"a":1,}`, "{\"a\":\"\xed\xa0\x80\"}"} {
		if got, err := ParsePayload([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %s", text, got)
		}
	}
}

func TestParsePayloadKeepsNothingOfItsInput(t *testing.T) {
	t.Parallel()
	text := []byte(`{"a":1}`)
	payload, err := ParsePayload(text)
	if err != nil {
		t.Fatal(err)
	}
	clear(text)
	if string(payload) != `{"a":1}` {
		t.Errorf("payload %q", payload)
	}
}

func TestDepthIsBounded(t *testing.T) {
	t.Parallel()
	nest := func(depth int) string {
		return strings.Repeat(`{"a":`, depth-1) + `{}` + strings.Repeat(`}`, depth-1)
	}
	payload, err := ParsePayload([]byte(nest(DepthMax)))
	if err != nil {
		t.Fatal(err)
	}
	// What was accepted alone is accepted in a queue, and decodes and encodes.
	state := EngineState{Queued: []TaskSpec{{ID: "a", Payload: payload}}}
	if back, err := DecodeEngineState(state.AppendIndented(nil)); err != nil || string(back.Queued[0].Payload) != string(payload) {
		t.Errorf("in a queue: %v", err)
	}
	value, err := payload.Decode()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := EncodeValue(value); err != nil || string(text) != string(payload) {
		t.Errorf("encoded: %v", err)
	}
	if _, err := ParsePayload([]byte(nest(DepthMax + 1))); err == nil {
		t.Error("accepted one level more")
	}
	if _, err := EncodeValue(map[string]any{"a": value}); err == nil {
		t.Error("encoded one level more")
	}
}

func TestPayloadIsEmpty(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{``: true, `{}`: true, ` { } `: true, `{"a":1}`: false, `[]`: false, `{`: false} {
		if got := Payload(text).IsEmpty(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestPayloadDecode(t *testing.T) {
	t.Parallel()
	got, err := Payload(`{"n":[1,1.50,NaN,-Infinity],"s":"\ud83d\ude00\ud800","b":true,"o":{"x":null},"n":3}`).Decode()
	want := map[string]any{"n": json.Number("3"), "s": "😀\xed\xa0\x80", "b": true, "o": map[string]any{"x": nil}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v, %v", got, err)
	}
	if got, err := Payload(nil).Decode(); err != nil || got == nil || len(got) != 0 {
		t.Errorf("nil: %#v, %v", got, err)
	}
	for _, bad := range []string{`[]`, `{"a"}`} {
		if _, err := Payload(bad).Decode(); err == nil {
			t.Errorf("%s: decoded", bad)
		}
	}
}

func TestPayloadInGoStructs(t *testing.T) {
	t.Parallel()
	type holder struct{ P Payload }
	text, err := json.Marshal(holder{Payload(`{"a":NaN}`)})
	if err != nil || string(text) != `{"P":{"a":"NaN"}}` {
		t.Errorf("%s, %v", text, err)
	}
	var back holder
	if err := json.Unmarshal([]byte(`{"P":{ "a": 1 }}`), &back); err != nil || string(back.P) != `{"a":1}` {
		t.Errorf("%s, %v", back.P, err)
	}
	if err := json.Unmarshal([]byte(`{"P":null}`), &back); err != nil || back.P != nil {
		t.Errorf("null: %s, %v", back.P, err)
	}
	if err := json.Unmarshal([]byte(`{"P":[]}`), &back); err == nil {
		t.Error("a list is no payload")
	}
	if got := string(Payload(`{"a`).Strict()); got != `{}` {
		t.Errorf("not an object: %s", got)
	}
}

func TestEncodeValue(t *testing.T) {
	t.Parallel()
	type name string
	number := 7
	for _, test := range []struct {
		value any
		want  string
	}{
		{map[string]any{"b": 1, "a": []any{nil, true, "é\xed\xa0\x80"}}, `{"a":[null,true,"\u00e9\ud800"],"b":1}`},
		{[]any{1.0, 1e16, 1e-5, 0.0001, 0.0, 123456789012345680.0, 0.1}, `[1.0,1e+16,1e-05,0.0001,0.0,1.2345678901234568e+17,0.1]`},
		{[]any{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}, `[NaN,Infinity,-Infinity,-0.0]`},
		{[]any{json.Number("1.50"), json.Number("NaN"), json.Number("123456789012345678901234567890")}, `[1.50,NaN,123456789012345678901234567890]`},
		{[]any{int8(-1), uint64(math.MaxUint64), float32(0.1), name("x"), &number, (*int)(nil), time.Second}, `[-1,18446744073709551615,0.1,"x",7,null,1000000000]`},
		{map[name][]string{"k": {"a", "b"}}, `{"k":["a","b"]}`},
		{[]any{json.RawMessage(`{ "z" : 1, "a": NaN }`), Payload(nil)}, `[{"z":1,"a":NaN},{}]`},
		{[2]bool{true, false}, `[true,false]`},
	} {
		got, err := EncodeValue(test.value)
		if err != nil || string(got) != test.want {
			t.Errorf("%#v: %s, %v", test.value, got, err)
		}
	}
	cycle := map[string]any{}
	cycle["self"] = cycle
	var loop any
	loop = &loop
	for _, bad := range []any{
		make(chan int), map[string]any{"f": func() {}}, struct{}{}, map[int]int{1: 2}, json.Number("1x"), json.Number("true"),
		json.Number(""), json.RawMessage(`{`), json.RawMessage(``), cycle, loop, []any{1i},
	} {
		if got, err := EncodeValue(bad); err == nil {
			t.Errorf("%T: encoded as %s", bad, got)
		}
	}
}

func TestFieldsKeepUnknownKeys(t *testing.T) {
	t.Parallel()
	fields, err := DecodeFields([]byte(`{"b": [ 1 ], "a": NaN}`))
	if err != nil || !reflect.DeepEqual(fields, []Field{field("b", `[1]`), field("a", `NaN`)}) {
		t.Fatalf("%+v, %v", fields, err)
	}
	if got := string(EncodeFields(fields)); got != "{\n  \"b\": [\n    1\n  ],\n  \"a\": NaN\n}\n" {
		t.Errorf("%s", got)
	}
	if got := string(EncodeFields(nil)); got != "{}\n" {
		t.Errorf("%q", got)
	}
}
