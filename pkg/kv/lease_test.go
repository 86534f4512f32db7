package kv

import (
	"errors"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func TestDecodeHolderIsBounded(t *testing.T) {
	var format *bus.FormatError
	if _, err := decodeHolder([]byte{0xdf, 0xff, 0xff, 0xff, 0xff}); !errors.As(err, &format) {
		t.Errorf("got %v", err)
	}
	data, err := msgpack.Marshal(map[string]any{"id": "a", "pid": 7, "future": []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := decodeHolder(data); err != nil || h != (Holder{ID: "a", PID: 7}) {
		t.Errorf("got %+v, error %v", h, err)
	}
}

func FuzzDecodeHolder(f *testing.F) {
	data, err := msgpack.Marshal(Holder{ID: "a", Host: "h", PID: 1, Epoch: 2, HTTP: ":80"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := decodeHolder(data)
		if err != nil {
			return
		}
		again, err := msgpack.Marshal(&h)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeHolder(again); err != nil || back != h {
			t.Fatalf("%+v became %+v, error %v", h, back, err)
		}
	})
}

func TestTaskKeyIsAKey(t *testing.T) {
	for _, id := range []spec.TaskID{"meta", "", ".", "a..b", "süß *>", "\xed\xa0\x80", spec.TaskID(strings.Repeat("long.", 1000))} {
		key := TaskKey(id)
		if key == KeyMeta || len(key) > 200 || strings.Trim(key, "-/_=.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" ||
			strings.Contains(key, "..") || strings.HasSuffix(key, ".") {
			t.Errorf("task %q has key %q", id, key)
		}
	}
}
