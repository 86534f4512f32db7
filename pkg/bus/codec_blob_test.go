package bus

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"autoresearch/pkg/spec"
)

// storedTask is a task whose payload and body lie in the object store.
func storedTask() *spec.Task {
	payload, body := []byte(`{"large":true}`), []byte("a large result")
	return &spec.Task{
		Spec:  spec.TaskSpec{ID: "003", Kind: "train", Payload: payload, Stored: spec.BlobOf(payload)},
		State: spec.StateCompleted, Seq: 3, Attempt: 1,
		Outcome: &spec.Outcome{Order: 1, Attempt: 1, Claim: 7, Body: body, Stored: spec.BlobOf(body)},
	}
}

// referred is the task as it comes back: the names, without the bytes.
func referred() *spec.Task {
	task := storedTask()
	task.Spec.Payload, task.Outcome.Body = nil, nil
	return task
}

// Where a blob is named its bytes are left out.
func TestBlobsInPlaceOfBytes(t *testing.T) {
	task, stdin := storedTask(), spec.BlobOf([]byte("input"))
	data, err := encodeDispatch(&Dispatch{Version: 1, Run: "r", Task: task.Spec, Stdin: stdin})
	if err != nil {
		t.Fatal(err)
	}
	d, err := decodeDispatch(data)
	if err != nil || d.Stdin != stdin || !reflect.DeepEqual(d.Task, referred().Spec) {
		t.Errorf("got %+v, error %v", d, err)
	}
	ref := AttemptRef{Task: "003", Attempt: 1}
	data, err = EncodeResultMessage(&ResultMessage{
		Worker: "w", Reports: []Report{{AttemptRef: ref, Body: task.Outcome.Body, Stored: task.Outcome.Stored}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeResultMessage(data)
	if err != nil || m.Reports[0].Body != nil || m.Reports[0].Stored != task.Outcome.Stored {
		t.Errorf("got %+v, error %v", m, err)
	}
	data, err = EncodeMirrorValue(&MirrorValue{Task: task})
	if err != nil {
		t.Fatal(err)
	}
	v, err := DecodeMirrorValue(data)
	if err != nil || !reflect.DeepEqual(v.Task, referred()) || data[3] != RecordVersion {
		t.Errorf("version %d, got %s, error %v", data[3], dump(v), err)
	}
}

// Only a part that names a blob is refused by builds that know nothing of blobs.
func TestBlobsRaiseTheVersion(t *testing.T) {
	plain := &spec.Task{Spec: spec.TaskSpec{ID: "plain"}, State: spec.StateQueued}
	record := &Record{Kind: RecordCommit, Changes: []Change{{Task: plain, Parts: PartAll}, {Task: storedTask(), Parts: PartAll}}}
	alone, err := AppendRecord(nil, &Record{Kind: RecordCommit, Changes: record.Changes[1:]})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := new(RecordEncoder).Encode(record, len(alone))
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != 2 || parts[0][3] != recordVersionPlain || parts[1][3] != RecordVersion {
		t.Fatalf("%d parts", len(parts))
	}
	r, err := DecodeRecord(parts[1])
	if err != nil || r.Version != RecordVersion || !reflect.DeepEqual(r.Changes[0].Task, referred()) {
		t.Errorf("got %s, error %v", dump(r), err)
	}
}

// A record of version 2 stays readable.
func TestBlobFixture(t *testing.T) {
	data := goldenFile(t, filepath.Join("testdata", "v2", "record_blob.bin"), func() ([]byte, error) {
		return AppendRecord(nil, &Record{
			Kind: RecordCommit, RunID: "run", Epoch: 1, Commit: 2, Changes: []Change{{Task: storedTask(), Parts: PartAll}},
		})
	})
	r, err := DecodeRecord(data)
	if err != nil || r.Commit != 2 || !reflect.DeepEqual(r.Changes[0].Task, referred()) {
		t.Errorf("got %s, error %v", dump(r), err)
	}
}

func TestMalformedBlobNames(t *testing.T) {
	for _, name := range [][]byte{nil, make([]byte, 39), make([]byte, 41), append(make([]byte, 32), 0xff, 0, 0, 0, 0, 0, 0, 0)} {
		w := wire{}
		mark := w.openMap()
		w.key("w")
		w.text("w")
		w.key("r")
		w.arrayLen(1)
		report := w.openMap()
		w.key("i")
		w.text("t")
		w.key("B")
		w.bytes(name)
		w.closeMap(report)
		w.closeMap(mark)
		var malformed *FormatError
		if _, err := DecodeResultMessage(w.out); !errors.As(err, &malformed) {
			t.Errorf("a blob's name of %d bytes: %v", len(name), err)
		}
	}
}
