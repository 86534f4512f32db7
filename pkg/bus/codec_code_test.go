package bus

import (
	"reflect"
	"testing"

	"autoresearch/pkg/spec"
)

// The code of a task travels with it, in forms that builds which would run the task without it do not take.
func TestCodeTravelsWithItsTask(t *testing.T) {
	want := spec.TaskSpec{
		ID: "003", Kind: "train", Payload: spec.Payload("{}"), Code: spec.Code{Bundle: spec.BlobOf([]byte("tree")), Commit: "c0ffee"},
	}
	data, err := encodeDispatch(&Dispatch{Version: 1, Run: "r", Task: want})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := decodeDispatch(data); err != nil || !reflect.DeepEqual(d.Task, want) {
		t.Errorf("dispatched %+v, error %v", d, err)
	}
	task := &spec.Task{Spec: want, State: spec.StateQueued}
	data, err = AppendRecord(nil, &Record{Kind: RecordCommit, Changes: []Change{{Task: task, Parts: PartAll}}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := DecodeRecord(data); err != nil || r.Version != RecordVersion || !reflect.DeepEqual(r.Changes[0].Task.Spec, want) {
		t.Errorf("journaled %s, error %v", dump(r), err)
	}
	data, err = EncodeMirrorValue(&MirrorValue{Task: task})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := DecodeMirrorValue(data); err != nil || !reflect.DeepEqual(v.Task.Spec, want) {
		t.Errorf("mirrored %s, error %v", dump(v), err)
	}
}
