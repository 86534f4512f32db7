package spec

import (
	"reflect"
	"strings"
	"testing"
)

func TestDecodeEngineStateRules(t *testing.T) {
	t.Parallel()
	got, err := DecodeEngineState([]byte(`{}`))
	if err != nil || got.Status != StatusRunning || got.Queued == nil || got.Running == nil || got.HasSpecs() {
		t.Errorf("empty: %+v, %v", got, err)
	}
	got, err = DecodeEngineState([]byte(`{"schema_version":2,"status":"odd","running":[{"id":"r"}],"queued":[{"id":"q"}]}`))
	if err != nil || got.Status != "odd" || !reflect.DeepEqual(got.Extra, []Field{field("schema_version", `2`)}) {
		t.Errorf("full: %+v, %v", got, err)
	}
	if resume := got.Resume(); len(resume) != 2 || resume[0].ID != "q" || resume[1].ID != "r" {
		t.Errorf("resume: %+v", resume)
	}
	for text, want := range map[string]string{
		`[]`: "must be an object, not a list", `{"queued":null}`: "queued: must be a list, not null",
		`{"running":{}}`: "running: must be a list, not an object", `{"queued":[null]}`: "queued[0]: must be an object, not null",
		`{"running":[{"id":"a"},{"id":""}]}`:   "running[1].id: must not be empty",
		`{"queued":[{"id":"a","priority":[]}`:  "queued[0].priority: must be a number, not a list",
		`{"status":"running","queued":[{"id":`: "queued[0].id: the text ends",
		`{"queued":[{"id":"a"}],"x":[}`:        "x: expected a value",
	} {
		if _, err := DecodeEngineState([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
