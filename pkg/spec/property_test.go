package spec

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// genText draws text with what is hard about text in it.
func genText() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.StringN(0, 6, -1),
		rapid.SampledFrom([]string{
			"\x00", "\x7f", "\"", "\\", "/", "é", "\u2028", "😀",
			".", "*", "=", "\xed\xb0\x80",
			// Never right before a low surrogate: the two would be one character in JSON.
			"\xed\xa0\x80-",
		}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		var text string
		for _, p := range rapid.SliceOfN(piece, 0, 4).Draw(t, "pieces") {
			text += p
		}
		return text
	})
}

// genValue draws a Go value that Decode can return.
func genValue(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), genText().AsAny(),
		rapid.Map(rapid.Float64(), func(f float64) any { return json.Number(appendFloat(nil, f)) }),
		rapid.Map(rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`), func(s string) any { return json.Number(s) }),
		rapid.SampledFrom([]any{json.Number("NaN"), json.Number("-Infinity"), json.Number("-0.0")}),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.Map(rapid.SliceOfN(genValue(depth-1), 0, 4), func(list []any) any { return append([]any{}, list...) }),
		rapid.Map(genObject(depth-1), func(object map[string]any) any { return object }),
	)...)
}

func genObject(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(genText(), genValue(depth), 0, 4)
}

func genPayload() *rapid.Generator[Payload] {
	return rapid.Custom(func(t *rapid.T) Payload {
		text, err := EncodeValue(genObject(2).Draw(t, "payload"))
		if err != nil {
			t.Fatal(err)
		}
		return Payload(text)
	})
}

func genFields() *rapid.Generator[[]Field] {
	return rapid.Custom(func(t *rapid.T) []Field {
		var fields []Field
		for _, name := range rapid.SliceOfN(genText(), 0, 2).Draw(t, "names") {
			value, err := EncodeValue(genValue(1).Draw(t, "value"))
			if err != nil {
				t.Fatal(err)
			}
			fields = append(fields, Field{"x-" + name, value})
		}
		return fields
	})
}

func genTask() *rapid.Generator[TaskSpec] {
	return rapid.Custom(func(t *rapid.T) TaskSpec {
		return TaskSpec{
			ID: TaskID("t" + genText().Draw(t, "id")), Priority: rapid.Float64().Draw(t, "priority"),
			Kind: genText().Draw(t, "kind"), Payload: genPayload().Draw(t, "payload"),
			Parent: TaskID(genText().Draw(t, "parent")), Extra: genFields().Draw(t, "extra"),
		}
	})
}

func TestValuesSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		object := genObject(3).Draw(t, "object")
		text, err := EncodeValue(object)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := ParsePayload(text)
		if err != nil || !bytes.Equal(payload, text) {
			t.Fatalf("%s became %s, %v", text, payload, err)
		}
		back, err := payload.Decode()
		if err != nil || !reflect.DeepEqual(back, object) {
			t.Fatalf("%#v became %#v, %v", object, back, err)
		}
		if !json.Valid(payload.Strict()) {
			t.Fatalf("not strict: %s", payload.Strict())
		}
	})
}

func TestTaskSpecsSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := genTask().Draw(t, "task")
		if err := task.Validate(); err != nil {
			t.Fatal(err)
		}
		text := task.AppendJSON(nil)
		back, err := DecodeTaskSpec(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !bytes.Equal(back.AppendJSON(nil), text) || !back.SameContent(task) || back.ContentHash() != task.ContentHash() ||
			back.ID != task.ID || back.Priority != task.Priority || back.Parent != task.Parent {
			t.Fatalf("%s became %+v", text, back)
		}
		strict, err := json.Marshal(task)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(strict, &back); err != nil || back.ID != task.ID || back.Priority != task.Priority || back.Kind != task.Kind {
			t.Fatalf("%s became %+v, %v", strict, back, err)
		}
	})
}

func TestEngineStatesSurvive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		state := EngineState{
			Status: Status(genText().Draw(t, "status")), Extra: genFields().Draw(t, "extra"),
			Queued:  rapid.SliceOfN(genTask(), 0, 3).Draw(t, "queued"),
			Running: rapid.SliceOfN(genTask(), 0, 2).Draw(t, "running"),
		}
		text := state.AppendIndented(nil)
		back, err := DecodeEngineState(text)
		if err != nil || !bytes.Equal(back.AppendIndented(nil), text) {
			t.Fatalf("%s: %v", text, err)
		}
		for i, task := range back.Resume() {
			if want := state.Resume()[i]; !task.SameContent(want) || task.ID != want.ID {
				t.Fatalf("task %d is %+v, was %+v", i, task, want)
			}
		}
	})
}

func TestContentIgnoresForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := TaskSpec{ID: "a", Kind: "k", Payload: genPayload().Draw(t, "payload")}
		fields, err := DecodeFields(task.Payload)
		if err != nil {
			t.Fatal(err)
		}
		other := task
		other.Payload = EncodeFields(rapid.Permutation(fields).Draw(t, "order"))
		if !task.SameContent(other) || task.ContentHash() != other.ContentHash() {
			t.Fatalf("%s and %s differ", task.Payload, other.Payload)
		}
	})
}

func TestNamesAreInjective(t *testing.T) {
	t.Parallel()
	safe := regexp.MustCompile(`^[A-Za-z0-9_=-]{1,120}$`)
	text := rapid.OneOf(genText(), rapid.String(), rapid.StringMatching(`[a-z=0-9A-F]{0,8}`), rapid.StringN(100, 130, -1))
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		token := EncodeName(a)
		if !safe.MatchString(token) {
			t.Fatalf("%q is not safe", token)
		}
		if back, ok := DecodeName(token); ok && back != a || !ok && len(token) <= 3*len(a) && len(a) <= NameSizeMax/3 {
			t.Fatalf("%q became %q, %v", a, back, ok)
		}
		if (token == EncodeName(b)) != (a == b) {
			t.Fatalf("%q and %q are both %q", a, b, token)
		}
		// A token is itself a name like any other.
		if again, ok := DecodeName(a); ok && EncodeName(again) != a {
			t.Fatalf("%q decodes to %q, which is %q", a, again, EncodeName(again))
		}
	})
}

func TestFloatsAreRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		s := &scanner{text: appendFloat(nil, f)}
		if back, err := s.float(); err != nil || back != f || math.Signbit(back) != math.Signbit(f) || s.end() != nil {
			t.Fatalf("%v is written %s and read %v, %v", f, s.text, back, err)
		}
	})
}
