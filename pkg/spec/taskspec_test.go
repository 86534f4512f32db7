package spec

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// field makes an unknown key.
func field(name, value string) Field { return Field{Name: name, Value: json.RawMessage(value)} }

func TestDecodeTaskSpecRules(t *testing.T) {
	t.Parallel()
	base := TaskSpec{ID: "a", Kind: "default", Payload: Payload("{}")}
	with := func(change func(*TaskSpec)) TaskSpec {
		task := base
		change(&task)
		return task
	}
	tests := []struct {
		name, text string
		want       TaskSpec
	}{
		{"defaults", `{"id":"a"}`, base},
		{"integer id", `{"id":5}`, with(func(t *TaskSpec) { t.ID = "5" })},
		{"float id", `{"id":1.50}`, with(func(t *TaskSpec) { t.ID = "1.5" })},
		{"boolean id", `{"id":true}`, with(func(t *TaskSpec) { t.ID = "True" })},
		{"list id", `{"id":["x"]}`, with(func(t *TaskSpec) { t.ID = "['x']" })},
		{"any id", `{"id":"a.b/*.> \ud800é"}`, with(func(t *TaskSpec) { t.ID = "a.b/*.> \xed\xa0\x80é" })},
		{"null kind", `{"id":"a","kind":null}`, with(func(t *TaskSpec) { t.Kind = "None" })},
		{"number kind", `{"id":"a","kind":3}`, with(func(t *TaskSpec) { t.Kind = "3" })},
		{"empty kind", `{"id":"a","kind":""}`, with(func(t *TaskSpec) { t.Kind = "" })},
		{"negative priority", `{"id":"a","priority":-1000}`, with(func(t *TaskSpec) { t.Priority = -1000 })},
		{"string priority", `{"id":"a","priority":"1.5"}`, with(func(t *TaskSpec) { t.Priority = 1.5 })},
		{"true priority", `{"id":"a","priority":true}`, with(func(t *TaskSpec) { t.Priority = 1 })},
		{"false priority", `{"id":"a","priority":false}`, base},
		{"infinite priority", `{"id":"a","priority":-Infinity}`, with(func(t *TaskSpec) { t.Priority = math.Inf(-1) })},
		{"infinite string", `{"id":"a","priority":"Infinity"}`, with(func(t *TaskSpec) { t.Priority = math.Inf(1) })},
		{"null payload", `{"id":"a","payload":null}`, base},
		{"list payload", `{"id":"a","payload":[1]}`, base},
		{"string payload", `{"id":"a","payload":"x"}`, base},
		{"payload tokens", `{"id":"a","payload": { "x" : [ 1.50, NaN ] , "é":"\u00e9\ud800" } }`,
			with(func(t *TaskSpec) { t.Payload = Payload(`{"x":[1.50,NaN],"é":"\u00e9\ud800"}`) })},
		{"parent", `{"id":"a","parent":"p"}`, with(func(t *TaskSpec) { t.Parent = "p" })},
		{"parent that is no string", `{"id":"a","parent": [1 ] }`, with(func(t *TaskSpec) { t.Extra = []Field{field("parent", `[1]`)} })},
		{"unknown keys", `{"z":1,"id":"a","k\u00e9":{ "a" : null }}`,
			with(func(t *TaskSpec) { t.Extra = []Field{field("z", `1`), field("ké", `{"a":null}`)} })},
		{"the last of equal keys", `{"id":null,"priority":null,"id":"b","priority":2,"i\u0064":"a","payload":{"a":1},"payload":3}`,
			with(func(t *TaskSpec) { t.Priority = 2 })},
	}
	for _, test := range tests {
		got, err := DecodeTaskSpec([]byte(test.text))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v", test.name, got, err)
			continue
		}
		again, err := DecodeTaskSpec(got.AppendJSON(nil))
		if err != nil || !again.SameContent(got) || again.ID != got.ID || again.Priority != got.Priority {
			t.Errorf("%s: read again: %+v, %v", test.name, again, err)
		}
	}
}

func TestDecodeTaskSpecErrors(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", DepthMax+1) + strings.Repeat("]", DepthMax+1)
	tests := []struct{ text, field, problem string }{
		{`{}`, "id", "is missing"},
		{`{"id":null}`, "id", "must not be null"},
		{`{"id":""}`, "id", "must not be empty"},
		{`{"id":"a","priority":null}`, "priority", "must be a number, not null"},
		{`{"id":"a","priority":[]}`, "priority", "must be a number, not a list"},
		{`{"id":"a","priority":{}}`, "priority", "must be a number, not an object"},
		{`{"id":"a","priority":"high"}`, "priority", `the string "high" is not a number`},
		{`{"id":"a","priority":NaN}`, "priority", "NaN is not a priority: it has no place in an order"},
		{`{"id":"a","priority":"nan"}`, "priority", "NaN is not a priority: it has no place in an order"},
		{`{"id":"a","payload":{"x":` + deep + `}}`, "payload", "nested deeper than 512"},
		{`{"id":"a","payload":{"x":tru}}`, "payload", `expected a value, found "tru}}"`},
		{`{"id":"a","other":{"x"}}`, "other", `expected ':' after the key "x"`},
		{`[]`, "", "must be an object, not a list"},
		{``, "", "the text is empty"},
		{`{"id":"a"}x`, "", `unexpected text after the end: "x"`},
		{"\ufeff{}", "", "the text begins with a byte order mark; save it as UTF-8 without one"},
		{"{\"id\":\"\xff\"}", "id", "the byte 0xff in a string is not UTF-8"},
	}
	for _, test := range tests {
		_, err := DecodeTaskSpec([]byte(test.text))
		var decode *DecodeError
		if !errors.As(err, &decode) || decode.Field != test.field || decode.Problem != test.problem {
			t.Errorf("%s: %v", clip(test.text), err)
		}
	}
}

func TestDecodeErrorSaysWhere(t *testing.T) {
	t.Parallel()
	_, err := DecodeEngineState([]byte("{\"status\": \"running\",\n \"queued\": [{\"id\": \"a\"},\n  {\"id\": \"b\", \"priority\": null}]}"))
	want := "queued[1].priority: must be a number, not null (line 3, column 27, byte 73)"
	if err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestDecodeErrorIsShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for _, text := range []string{
		`{"id":"a","priority":"` + long + `"}`, `{"` + long + `":}`, `{"` + long + `" 1}`, `{"id":"a"} ` + long, long,
		`{"id":"a","priority":1` + strings.Repeat("0", 1<<20) + `}`,
	} {
		if _, err := DecodeTaskSpec([]byte(text)); err == nil || len(err.Error()) > 300 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	}
}

func TestTaskSpecWrittenForms(t *testing.T) {
	t.Parallel()
	task := TaskSpec{
		ID: "é\xed\xa0\x80", Priority: math.Inf(-1), Kind: "k", Payload: Payload(`{"a":[NaN,-Infinity],"b":1e-07,"é":"\/"}`),
		Parent: "p", Extra: []Field{field("note", `Infinity`), field("id", `"never"`), field("parent", `1`), field("bad", `{`)},
	}
	dialect := `{"id":"\u00e9\ud800","priority":-Infinity,"kind":"k","payload":{"a":[NaN,-Infinity],"b":1e-07,"\u00e9":"\/"},` +
		`"parent":"p","note":Infinity,"bad":null}`
	if got := string(task.AppendJSON([]byte("x"))); got != "x"+dialect {
		t.Errorf("dialect: %s", got)
	}
	strict, err := json.Marshal(task)
	want := `{"id":"\u00e9\ud800","priority":"-Infinity","kind":"k","payload":{"a":["NaN","-Infinity"],"b":1e-07,"\u00e9":"\/"},` +
		`"parent":"p","note":"Infinity","bad":null}`
	if err != nil || string(strict) != want {
		t.Errorf("strict: %s, %v", strict, err)
	}
	var back TaskSpec
	if err := json.Unmarshal(strict, &back); err != nil || back.ID != task.ID || back.Priority != task.Priority || back.Parent != "p" {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

func TestTaskSpecOfGo(t *testing.T) {
	t.Parallel()
	task := TaskSpec{ID: "a"}
	if got := string(task.AppendJSON(nil)); got != `{"id":"a","priority":0.0,"kind":"","payload":{}}` {
		t.Errorf("written: %s", got)
	}
	if task = task.WithDefaults(); task.Kind != KindDefault || !task.Payload.IsEmpty() || task.Payload == nil {
		t.Errorf("defaults: %+v", task)
	}
}

func TestTaskSpecValidate(t *testing.T) {
	t.Parallel()
	valid := TaskSpec{ID: "a\xed\xa0\x80", Payload: Payload(` {"a":NaN} `), Extra: []Field{field("x", "1")}}
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
	for name, task := range map[string]TaskSpec{
		"id: must not be empty": {},
		"id: not UTF-8":         {ID: "\xff"},
		"priority: NaN":         {ID: "a", Priority: math.NaN()},
		"payload: must be an":   {ID: "a", Payload: Payload(`[]`)},
		"payload: expected":     {ID: "a", Payload: Payload(`{"a":}`)},
		"field x: expected":     {ID: "a", Extra: []Field{field("x", `y`)}},
	} {
		if err := task.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeTaskSpecs(t *testing.T) {
	t.Parallel()
	tasks, err := DecodeTaskSpecs([]byte(` [ {"id":"a"} , {"id":"b"} ] `))
	if err != nil || len(tasks) != 2 || tasks[1].ID != "b" {
		t.Errorf("%+v, %v", tasks, err)
	}
	for text, want := range map[string]string{
		`[{"id":"a"},{}]`: "[1].id: is missing", `[1]`: "[0]: must be an object, not a number", `{}`: "must be a list, not an object",
		`[`: "[0]: must be an object, but the text ends", `[{"id":"a"`: "[0]: expected ',' or '}'",
	} {
		if _, err := DecodeTaskSpecs([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSameContent(t *testing.T) {
	t.Parallel()
	spec := func(payload string) TaskSpec {
		return TaskSpec{ID: TaskID(payload), Kind: "k", Payload: Payload(payload)}
	}
	same := [][2]string{
		{``, `{}`}, {`{}`, ` { } `}, {`{"a":1,"b":2}`, `{"b":2,"a":1}`}, {`{"é":"\/"}`, `{"\u00e9":"/"}`},
		{`{"a":1.50}`, `{"a":1.5}`}, {`{"a":1e5}`, `{"a":100000.0}`}, {`{"a":1,"a":2}`, `{"a":2}`}, {`{"a":1e999}`, `{"a":Infinity}`},
		{`{"a":[{"y":1,"x":[{"d":1,"c":2}]}]}`, `{"a":[{"x":[{"c":2,"d":1}],"y":1}]}`}, {`{"a":-0}`, `{"a":0}`},
		{`{"c":1,"b":2,"c":3,"a":4}`, `{"a":4,"b":2,"c":3}`},
	}
	for _, pair := range same {
		a, b := spec(pair[0]), spec(pair[1])
		b.Priority, b.Extra = 7, []Field{field("x", "1")}
		if !a.SameContent(b) || a.ContentHash() != b.ContentHash() {
			t.Errorf("%s and %s are not the same", pair[0], pair[1])
		}
	}
	other := [][2]string{
		{`{}`, `{"a":1}`}, {`{"a":1}`, `{"a":1.0}`}, {`{"a":0.0}`, `{"a":-0.0}`}, {`{"a":"1"}`, `{"a":1}`}, {`{"a":[1,2]}`, `{"a":[2,1]}`},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`}, {`{"a":"NaN"}`, `{"a":NaN}`}, {`{"a":null}`, `{}`},
	}
	for _, pair := range other {
		a, b := spec(pair[0]), spec(pair[1])
		if a.SameContent(b) || a.ContentHash() == b.ContentHash() {
			t.Errorf("%s and %s are the same", pair[0], pair[1])
		}
	}
	if a, b := (TaskSpec{Kind: "a"}), (TaskSpec{Kind: "b"}); a.SameContent(b) || a.ContentHash() == b.ContentHash() {
		t.Error("kinds do not count")
	}
	// The number is part of what is stored: it must never change.
	if got := (TaskSpec{Kind: "train", Payload: Payload(`{"lr": 0.1}`)}).ContentHash(); got != contentHashGolden {
		t.Errorf("content hash %#x", got)
	}
}

const contentHashGolden = 0xb5d6268f22ca3f03
