package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// form is one thing the codec carries, for tests that hold for all of them.
type form struct {
	name   string
	filled func() any
	encode func(any) ([]byte, error)
	decode func([]byte) (any, error)
	sealed byte // the form byte; 0 when not sealed
}

func formOf[T any](name string, sealed byte, encode func(*T) ([]byte, error), decode func([]byte) (*T, error), fix func(*T)) form {
	return form{
		name: name, sealed: sealed,
		filled: func() any {
			value := filled[T]()
			fix(value)
			return value
		},
		encode: func(v any) ([]byte, error) { return encode(v.(*T)) },
		decode: func(data []byte) (any, error) { return decode(data) },
	}
}

func asIs[T any](*T) {}

// encodeDispatch and decodeDispatch are of a message with one dispatch.
func encodeDispatch(d *Dispatch) ([]byte, error) { return EncodeDispatches([]*Dispatch{d}) }

func decodeDispatch(data []byte) (*Dispatch, error) {
	ds, err := DecodeDispatches(data)
	if err != nil {
		return nil, err
	}
	return ds[0], nil
}

var forms = []form{
	formOf("dispatch", 0, encodeDispatch, decodeDispatch, asIs),
	formOf("uplink", 0, EncodeUplink, DecodeUplink, asIs),
	formOf("answer", 0, EncodeAnswer, DecodeAnswer, asIs),
	formOf("result message", 0, EncodeResultMessage, DecodeResultMessage, asIs),
	formOf("result", 0, func(r *spec.TaskResult) ([]byte, error) { return EncodeResult(*r) },
		func(data []byte) (*spec.TaskResult, error) {
			r, err := DecodeResult(data)
			return &r, err
		}, func(r *spec.TaskResult) {
			r.Series[0].Seen = 99
			for i := range r.Children {
				r.Children[i].Code = spec.Code{} // not for workers to say
			}
		}),
	formOf("log message", 0, EncodeLogMessage, DecodeLogMessage, func(m *LogMessage) { m.Version = 1 }),
	formOf("series", 0, func(all *[]spec.Series) ([]byte, error) { return EncodeSeries(*all), nil },
		func(data []byte) (*[]spec.Series, error) {
			all, err := DecodeSeries(data)
			return &all, err
		}, func(all *[]spec.Series) { (*all)[0].Seen = 99 }),
	formOf("journal record", formRecord, func(r *Record) ([]byte, error) { return AppendRecord(nil, r) }, DecodeRecord,
		func(r *Record) { r.Version, r.Part, r.Parts = 1, 2, 3 }),
	formOf("mirror meta", formMeta, EncodeMirrorMeta, DecodeMirrorMeta, func(m *MirrorMeta) { m.Version = 1 }),
	formOf("mirror base", formBase, EncodeMirrorBase, DecodeMirrorBase, func(b *MirrorBase) { b.Version = 1 }),
	formOf("mirror value", formValue, EncodeMirrorValue, DecodeMirrorValue, asIs),
	formOf("task", 0, func(t *spec.Task) ([]byte, error) { return AppendTask(nil, t), nil }, DecodeTask, asIs),
	formOf("rejection", 0, EncodeRejected, DecodeRejected, asIs),
	formOf("demand", 0, EncodeDemand, DecodeDemand, asIs),
	formOf("dispatches", 0, func(ds *[]*Dispatch) ([]byte, error) { return EncodeDispatches(*ds) },
		func(data []byte) (*[]*Dispatch, error) {
			ds, err := DecodeDispatches(data)
			return &ds, err
		}, func(ds *[]*Dispatch) { *ds = append(*ds, filled[Dispatch]()) }),
}

func eachForm(t *testing.T, test func(t *testing.T, f form, data []byte)) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			data, err := f.encode(f.filled())
			if err != nil {
				t.Fatal(err)
			}
			test(t, f, data)
		})
	}
}

// No field is forgotten: what is added to a type must be added to its codec.
func TestEveryFieldIsCarried(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, data []byte) {
		got, err := f.decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if want := f.filled(); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %s\nwant %s", dump(got), dump(want))
		}
	})
}

// A message that is read where another was is as if nothing had been there, and what was taken out of that one stays as it was.
func TestResultMessageIsReadOverAnother(t *testing.T) {
	encoded := func(m *ResultMessage) []byte {
		data, err := EncodeResultMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first, want := filled[ResultMessage](), filled[ResultMessage]()
	first.Reports = append(first.Reports, first.Reports[0], first.Reports[0])
	second := &ResultMessage{Version: 1, Worker: "w", Reports: []Report{{AttemptRef: AttemptRef{Run: "s", Task: "t"}}}}
	var m ResultMessage
	if err := m.Decode(encoded(first)); err != nil {
		t.Fatal(err)
	}
	taken := m.Reports[0]
	if err := m.Decode(encoded(second)); err != nil || !reflect.DeepEqual(&m, second) {
		t.Errorf("got %s\nwant %s, error %v", dump(m), dump(second), err)
	}
	if !reflect.DeepEqual(taken, want.Reports[0]) {
		t.Errorf("got %s\nwant %s", dump(taken), dump(want.Reports[0]))
	}
}

func dump(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	return string(text)
}

// A zero value that is required by nobody comes back as it was.
func TestLittleIsCarried(t *testing.T) {
	ref := AttemptRef{Task: "t"}
	for _, v := range []any{
		&Dispatch{Version: 1, Run: "r", Task: spec.TaskSpec{ID: "t"}},
		&Uplink{Version: 1, Worker: "w", Running: []Holding{{AttemptRef: ref}}, Slots: []ClassSlots{{Class: "c"}}},
		&Answer{Version: 1, Run: "r", Stop: []StopOrder{{AttemptRef: ref}}},
		&ResultMessage{Version: 1, Worker: "w", Reports: []Report{{AttemptRef: ref}}},
		&spec.TaskResult{},
		&spec.TaskResult{Children: []spec.TaskSpec{{ID: "c"}}, Output: json.RawMessage(`{}`)},
		&Record{Version: 1, Kind: RecordEpoch, Part: 1, Parts: 1, Meta: &Meta{}},
		&MirrorMeta{Version: 1},
		&MirrorBase{MirrorMeta: MirrorMeta{Version: 1}},
		&MirrorValue{Task: &spec.Task{Spec: spec.TaskSpec{ID: "t"}, State: spec.StateQueued}},
	} {
		for _, f := range forms {
			if reflect.TypeOf(f.filled()) != reflect.TypeOf(v) {
				continue
			}
			data, err := f.encode(v)
			if err != nil {
				t.Fatal(f.name, err)
			}
			if got, err := f.decode(data); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%s: got %s, error %v, want %s", f.name, dump(got), err, dump(v))
			}
		}
	}
}

// same compares by value, NaN equal to NaN and -0.0 apart from 0.0: encodings hold every bit and are canonical.
func same(t *rapid.T, encode func() ([]byte, error), want []byte) {
	got, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("encoded again: %x\nbefore:        %x", got, want)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		data, err := AppendRecord([]byte("prefix"), r)
		if err != nil {
			t.Fatal(err)
		}
		data = data[len("prefix"):]
		got, err := DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, r) {
			t.Fatalf("got %s\nwant %s", dump(got), dump(r))
		}
		same(t, func() ([]byte, error) { return AppendRecord(nil, got) }, data)
		if parts, err := new(RecordEncoder).Encode(r, 0); err != nil || len(parts) != 1 || !bytes.Equal(parts[0], data) {
			t.Fatalf("RecordEncoder differs: %d parts, error %v", len(parts), err)
		}
	})
}

func TestMirrorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := &MirrorValue{JournalSeq: drawUint64(t, "seq"), Task: drawTask(t)}
		data, err := EncodeMirrorValue(value)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeMirrorValue(data); err != nil || !reflect.DeepEqual(got, value) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(value))
		}
		if got, err := DecodeTask(AppendTask(nil, value.Task)); err != nil || !reflect.DeepEqual(got, value.Task) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(value.Task))
		}
		meta := &MirrorMeta{
			Version: 1, RunID: drawText(t, "run"), Epoch: drawUint64(t, "epoch"), Commit: drawUint64(t, "commit"),
			Writer: drawUint64(t, "writer"), JournalSeq: drawUint64(t, "seq"), Time: spec.EngineTime(drawInt64(t, "time")),
			Watermark: drawUint64(t, "mark"), Tasks: drawUint64(t, "tasks"), Meta: drawMeta(t), Unknown: drawUnknown(t),
		}
		if data, err = EncodeMirrorMeta(meta); err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeMirrorMeta(data); err != nil || !reflect.DeepEqual(got, meta) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(meta))
		}
	})
}

func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &Dispatch{
			Version: 1, Run: spec.RunName("r" + drawText(t, "run")), RunID: drawText(t, "uuid"), Epoch: drawUint64(t, "epoch"),
			Class: drawText(t, "class"), Avoid: spec.WorkerID(drawText(t, "avoid")), Task: drawSpec(t), Attempt: drawUint32(t, "attempt"), LeaseTTL: time.Duration(drawInt64(t, "ttl")),
			Recipe: spec.Recipe{
				Argv: drawList(t, "argv", func(t *rapid.T) string { return drawText(t, "arg") }), Stdin: drawBytes(t, "stdin"),
				Timeout: time.Duration(drawInt64(t, "timeout")), Proposer: drawBool(t, "proposer"),
				Limits: spec.ProcessLimits{
					Memory: drawInt64(t, "memory"), OpenFiles: int(drawInt64(t, "files")), CPU: time.Duration(drawInt64(t, "cpu")),
				},
				KeepCheckpoints: time.Duration(drawInt64(t, "checkpoints")), KeepCode: time.Duration(drawInt64(t, "code")),
				Secrets: drawList(t, "secrets", func(t *rapid.T) spec.Secret {
					return spec.Secret{Name: drawText(t, "name"), Env: drawText(t, "variable"), File: drawText(t, "file")}
				}),
			},
		}
		data, err := encodeDispatch(d)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeDispatch(data); err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(d))
		}
		m := &ResultMessage{Version: 1, Worker: spec.WorkerID("w" + drawText(t, "worker")), Boot: drawUint64(t, "boot"),
			Reports: drawList(t, "reports", func(t *rapid.T) Report {
				return Report{AttemptRef: drawRef(t), Failure: drawFailure(t), Preempted: drawBool(t, "preempted"), Body: drawBytes(t, "body")}
			})}
		if data, err = EncodeResultMessage(m); err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeResultMessage(data); err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(m))
		}
		u := &Uplink{Version: 1, Worker: spec.WorkerID("w" + drawText(t, "worker")), Boot: drawUint64(t, "boot"), Full: drawBool(t, "full"),
			Running: drawList(t, "running", func(t *rapid.T) Holding {
				return Holding{AttemptRef: drawRef(t), Started: drawTime(t, "started"), Progress: drawText(t, "progress"), Metrics: drawMetrics(t)}
			}), Finished: drawList(t, "finished", drawRef), Breaker: drawText(t, "breaker"),
			Labels: drawList(t, "labels", func(t *rapid.T) string { return drawText(t, "label") }),
			GPUs: drawList(t, "gpus", func(t *rapid.T) spec.GPUStatus {
				return spec.GPUStatus{UUID: drawText(t, "uuid"), Model: drawText(t, "model"), Class: drawText(t, "class"),
					State: drawText(t, "state"), Reason: drawText(t, "reason"), Driver: drawText(t, "driver")}
			})}
		if data, err = EncodeUplink(u); err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeUplink(data); err != nil || !reflect.DeepEqual(got, u) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(u))
		}
	})
}

func TestResultRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := spec.TaskResult{
			Metrics: drawMetrics(t), Failure: drawFailure(t), Attempt: drawUint32(t, "attempt"),
			Worker: spec.WorkerID(drawText(t, "worker")), Host: drawText(t, "host"), Started: drawTime(t, "started"),
			Duration: time.Duration(drawInt64(t, "duration")),
			Code:     spec.Code{Bundle: spec.BlobOf([]byte("tree")), Commit: drawText(t, "commit")},
			Hardware: spec.Hardware{GPU: drawText(t, "gpu"), Driver: drawText(t, "driver"),
				GPUs: drawList(t, "gpus", func(t *rapid.T) string { return drawText(t, "uuid") })},
			Children: drawList(t, "children", func(t *rapid.T) spec.TaskSpec {
				return spec.TaskSpec{ID: "c", Priority: drawFloat(t, "priority"), Payload: spec.Payload(drawJSON(t, "payload")), Extra: drawExtra(t)}
			}),
		}
		if drawBool(t, "output") {
			r.Output = drawJSON(t, "output")
		}
		r.Artifacts = drawList(t, "artifacts", func(t *rapid.T) spec.Artifact {
			return spec.Artifact{Path: drawText(t, "path"), Size: int64(drawUint32(t, "size")), Omitted: drawText(t, "omitted")}
		})
		r.Series = drawList(t, "series", func(t *rapid.T) spec.Series {
			points := drawList(t, "points", func(t *rapid.T) spec.Point {
				return spec.Point{Step: drawFloat(t, "step"), Value: drawFloat(t, "value")}
			})
			return spec.Series{Name: drawText(t, "series"), Seen: len(points) + int(drawUint32(t, "seen")>>2), Points: points}
		})
		data, err := EncodeResult(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeResult(data); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("got %s, error %v\nwant %s", dump(got), err, dump(r))
		}
	})
}

func TestOddNumbersSurvive(t *testing.T) {
	odd := map[string]float64{
		"nan": math.NaN(), "payload of nan": math.Float64frombits(0x7ff8000000000123), "inf": math.Inf(1), "-inf": math.Inf(-1),
		"-0": math.Copysign(0, -1), "tiny": math.SmallestNonzeroFloat64,
	}
	data, err := EncodeResult(spec.TaskResult{Metrics: odd})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range odd {
		if math.Float64bits(got.Metrics[name]) != math.Float64bits(want) {
			t.Errorf("%s: %x, want %x", name, math.Float64bits(got.Metrics[name]), math.Float64bits(want))
		}
	}
}

// User code may put anything into a failure's details; the record must reach the journal all the same.
func TestDetailsNeverFail(t *testing.T) {
	failure := &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob, Details: map[string]any{
		"channel": make(chan int), "func": func() {}, "cause": spec.CauseExit, "code": 3, "deep": deep(200), "bad": "\xff",
	}}
	data, err := EncodeResult(spec.TaskResult{Failure: failure})
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeResult(data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Failure.Cause() != spec.CauseExit || got.Failure.Details["code"] != json.Number("3") || len(got.Failure.Details) != 6 {
		t.Errorf("details: %v", got.Failure.Details)
	}
}

func deep(n int) any {
	var v any
	for range n {
		v = []any{v}
	}
	return v
}

func TestResultRefusesBadJSON(t *testing.T) {
	for name, r := range map[string]spec.TaskResult{
		"payload":  {Children: []spec.TaskSpec{{ID: "c", Payload: spec.Payload(`[1]`)}}},
		"payload2": {Children: []spec.TaskSpec{{ID: "c", Payload: spec.Payload(`{"a":`)}}},
		"priority": {Children: []spec.TaskSpec{{ID: "c", Priority: math.NaN()}}},
		"id":       {Children: []spec.TaskSpec{{Payload: spec.Payload(`{}`)}}},
		"extra":    {Children: []spec.TaskSpec{{ID: "c", Extra: []spec.Field{{Name: "x", Value: json.RawMessage("y")}}}}},
		"output":   {Output: json.RawMessage(`1`)},
	} {
		if _, err := EncodeResult(r); err == nil {
			t.Errorf("%s was encoded", name)
		}
		// The same from a program that does not check.
		w := wire{}
		mark := w.openMap()
		fieldList(&w, "c", r.Children, (*wire).taskSpec)
		fieldBytes(&w, "o", r.Output)
		w.closeMap(mark)
		if got, err := DecodeResult(w.out); err == nil {
			t.Errorf("%s was decoded: %+v", name, got)
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, data []byte) {
		for n := range data {
			if _, err := f.decode(data[:n]); err == nil {
				t.Fatalf("%d of %d bytes were decoded", n, len(data))
			}
		}
		if _, err := f.decode(append(bytes.Clone(data), 0)); err == nil {
			t.Error("a byte more was decoded")
		}
		if f.sealed == 0 {
			return
		}
		for n := range data {
			for _, flip := range []byte{1, 0x80, 0xff} {
				damaged := bytes.Clone(data)
				damaged[n] ^= flip
				_, err := f.decode(damaged)
				var damage *DamageError
				var version *VersionError
				if !errors.As(err, &damage) && !errors.As(err, &version) {
					t.Fatalf("byte %d flipped by %x: %v", n, flip, err)
				}
			}
		}
	})
}

func TestFutureVersionIsRefused(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, data []byte) {
		if f.sealed == 0 {
			return
		}
		data[3] = RecordVersion + 1
		closeSeal(data, false)
		_, err := f.decode(data)
		var version *VersionError
		if !errors.As(err, &version) || version.Version != RecordVersion+1 || !strings.Contains(err.Error(), "newer") {
			t.Errorf("got %v", err)
		}
	})
	// One form is not taken for another.
	data, err := EncodeMirrorMeta(&MirrorMeta{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeRecord(data); err == nil {
		t.Error("a mirror meta was read as a record")
	}
}

// generic is data as another msgpack library reads it.
func generic(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var value map[string]any
	if err := msgpack.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f form) body(data []byte) []byte {
	if f.sealed != 0 {
		return data[sealSize:]
	}
	return data
}

func (f form) seal(body []byte) []byte {
	if f.sealed == 0 {
		return body
	}
	sealed := append(appendSeal(nil, f.sealed), body...)
	closeSeal(sealed, false)
	return sealed
}

// Any msgpack library reads what this one writes, and the other way round, whatever widths it chooses.
func TestOtherLibrariesUnderstand(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, data []byte) {
		again := f.seal(marshal(t, generic(t, f.body(data))))
		got, err := f.decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if want := f.filled(); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %s\nwant %s", dump(got), dump(want))
		}
	})
}

// Fields that a newer version writes are ignored in messages, and kept by a rewrite of what is stored.
func TestUnknownFields(t *testing.T) {
	news := map[string]any{"deep": []any{int8(1), "x", map[string]any{"k": []byte{1}}}}
	eachForm(t, func(t *testing.T, f form, data []byte) {
		value := generic(t, f.body(data))
		value["future"] = news
		if f.name == "journal record" {
			value["m"].(map[string]any)["future"] = news
			value["x"].([]any)[0].(map[string]any)["future"] = news
		}
		got, err := f.decode(f.seal(marshal(t, value)))
		if err != nil {
			t.Fatal(err)
		}
		if f.sealed == 0 || f.sealed == formValue {
			return
		}
		again, err := f.encode(got)
		if err != nil {
			t.Fatal(err)
		}
		if rewritten := generic(t, f.body(again)); !reflect.DeepEqual(rewritten, value) {
			t.Errorf("rewritten as %v\nwas          %v", rewritten, value)
		}
	})
}

// A few bytes cannot make a decoder allocate much.
func TestBombsAreRefused(t *testing.T) {
	bombs := map[string][]byte{
		"array":       {0xdd, 0xff, 0xff, 0xff, 0xff},
		"map":         {0xdf, 0xff, 0xff, 0xff, 0xff},
		"bin":         {0xc6, 0xff, 0xff, 0xff, 0xff},
		"str":         {0xdb, 0xff, 0xff, 0xff, 0xff},
		"ext":         {0xc9, 0xff, 0xff, 0xff, 0xff, 0x01},
		"ext8":        {0xc7, 0xff},
		"nested":      bytes.Repeat([]byte{0x91}, 1<<16),
		"nested maps": bytes.Repeat([]byte{0x81, 0xa1, 'x'}, 1<<16),
		"never used":  {0xc1},
		"empty":       {},
	}
	for _, f := range forms {
		for _, key := range []string{"", "m", "x", "c", "r", "t", "d", "i", "s", "g", "v", "k", "f", "O", "S", "pk", "bk"} {
			for name, bomb := range bombs {
				body := bomb
				if key != "" {
					w := wire{}
					mark := w.openMap()
					w.key(key)
					w.out = append(w.out, bomb...)
					w.closeMap(mark)
					body = w.out
				}
				data := f.seal(body)
				before := allocated()
				_, err := f.decode(data)
				if used := allocated() - before; used > 64<<10 {
					t.Errorf("%s: a bomb of %d bytes (%s at %q) took %d bytes", f.name, len(body), name, key, used)
				}
				if err == nil {
					t.Errorf("%s: the bomb %s at %q was decoded", f.name, name, key)
				}
			}
		}
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

func TestCheckBounds(t *testing.T) {
	if err := CheckBounds("x", marshal(t, map[string]any{"a": []int{1, 2}})); err != nil {
		t.Error(err)
	}
	var format *FormatError
	if err := CheckBounds("lease", []byte{0xdd, 0xff, 0xff, 0xff, 0xff}); !errors.As(err, &format) || format.Form != "lease" {
		t.Errorf("got %v", err)
	}
	if err := CheckBounds("x", bytes.Repeat([]byte{0x91}, depthMax+2)); err == nil {
		t.Error("too deep")
	}
	if err := CheckBounds("x", append(bytes.Repeat([]byte{0x91}, depthMax), 0xc0)); err != nil {
		t.Error(err)
	}
	huge := wire{}
	huge.bytes(make([]byte, sizeMax))
	if err := CheckBounds("x", huge.out); err == nil {
		t.Error("too large")
	}
}

func TestWrongTypesAreRefused(t *testing.T) {
	eachForm(t, func(t *testing.T, f form, data []byte) {
		value := generic(t, f.body(data))
		for key, was := range value {
			if key == "v" && f.sealed == 0 && f.name == "result" {
				continue // a result's version is for people
			}
			if strings.HasPrefix(key, "unknown") {
				continue
			}
			for _, wrong := range []any{"text", -1.5, true, []any{[]any{}}, map[string]any{"x": 1}} {
				if sameKind(was, wrong) {
					continue
				}
				value[key] = wrong
				if got, err := f.decode(f.seal(marshal(t, value))); err == nil {
					t.Errorf("%s = %v was decoded: %+v", key, wrong, got)
				}
			}
			value[key] = was
		}
	})
}

// sameKind reports whether a decoder of one may take the other: str and bin are one to readers, and unknown keys of a
// map are not looked at.
func sameKind(was, wrong any) bool {
	_, wasMap := was.(map[string]any)
	_, wrongMap := wrong.(map[string]any)
	_, wasText := was.(string)
	_, wasBytes := was.([]byte)
	_, wrongText := wrong.(string)
	return wasMap && wrongMap || (wasText || wasBytes) && wrongText || reflect.TypeOf(was) == reflect.TypeOf(wrong)
}

// Series.

func TestRecordEncoderSplits(t *testing.T) {
	var e RecordEncoder // what it encoded before does not matter
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		for range rapid.IntRange(0, 20).Draw(t, "more") {
			r.Changes = append(r.Changes, drawChange(t))
		}
		limit := rapid.IntRange(1, 6000).Draw(t, "limit")
		parts, err := e.Encode(r, limit)
		var large *TooLargeError
		if errors.As(err, &large) {
			if !errors.Is(err, ErrTooLarge) || large.Limit != limit || large.Size <= limit {
				t.Fatalf("got %+v", large)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		whole := *r
		whole.Acts, whole.Changes, whole.Meta, whole.Unknown = nil, nil, nil, nil
		for i, data := range parts {
			if len(data) > limit {
				t.Fatalf("part %d has %d bytes, more than %d", i+1, len(data), limit)
			}
			part, err := DecodeRecord(data)
			if err != nil {
				t.Fatal(err)
			}
			if part.Part != i+1 || part.Parts != len(parts) || part.Commit != r.Commit || (part.Meta != nil) != (i == 0 && r.Meta != nil) {
				t.Fatalf("part %d of %d: %+v", i+1, len(parts), part)
			}
			whole.Acts = append(whole.Acts, part.Acts...)
			whole.Changes = append(whole.Changes, part.Changes...)
			if i == 0 {
				whole.Meta, whole.Unknown = part.Meta, part.Unknown
			}
		}
		if !reflect.DeepEqual(&whole, r) {
			t.Fatalf("got %s\nwant %s", dump(whole), dump(r))
		}
	})
}

func TestRecordEncoderNamesWhatIsTooLarge(t *testing.T) {
	r := &Record{Kind: RecordCommit, Commit: 1}
	for _, id := range []spec.TaskID{"a", "fat one", "b"} {
		r.Changes = append(r.Changes, Change{Task: &spec.Task{Spec: spec.TaskSpec{ID: id}, State: spec.StateQueued}, Parts: PartSpec})
	}
	r.Changes[1].Task.Spec.Payload = spec.Payload(`{"x":"` + strings.Repeat("x", 5000) + `"}`)
	_, err := new(RecordEncoder).Encode(r, 4096)
	var large *TooLargeError
	if !errors.As(err, &large) || large.Task != "fat one" || !strings.Contains(err.Error(), "fat one") {
		t.Fatalf("got %v", err)
	}
	if parts, err := new(RecordEncoder).Encode(r, 5300); err != nil || len(parts) != 1 {
		t.Fatalf("%d parts, error %v", len(parts), err)
	}
	if _, err := new(RecordEncoder).Encode(r, 20); !errors.As(err, &large) || large.Task != "" {
		t.Fatalf("a head that does not fit: %v", err)
	}
	r.Changes[2].Task = &spec.Task{}
	if _, err := new(RecordEncoder).Encode(r, 0); err == nil {
		t.Fatal("a change without an id was encoded")
	}
	if _, err := new(RecordEncoder).Encode(&Record{}, 0); err == nil {
		t.Fatal("a record without a kind was encoded")
	}
}

func TestAppendChangeTellsTheSize(t *testing.T) {
	r := &Record{Kind: RecordCommit}
	empty, err := AppendRecord(nil, r)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		change := drawChange(t)
		alone, err := AppendChange(nil, change)
		if err != nil {
			t.Fatal(err)
		}
		r.Changes = []Change{change}
		with, err := AppendRecord(nil, r)
		if err != nil || len(with) != len(empty)+len(alone) {
			t.Fatalf("%d bytes alone, %d in a record, error %v", len(alone), len(with)-len(empty), err)
		}
	})
}

// Stored forms of version 1, kept for ever: every later version must read them.

// update writes the files that are missing. One that is there is never written again: a new form gets a name of its own.
var update = flag.Bool("update", false, "write the fixtures that are missing")

// goldenFile reads a fixture, written before if it is missing and may be.
func goldenFile(t *testing.T, path string, encode func() ([]byte, error)) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && *update {
		if data, err = encode(); err != nil {
			t.Fatal(err)
		}
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// golden is what the files in testdata/v1 hold.
func golden() map[string]any {
	task := &spec.Task{
		Spec: spec.TaskSpec{
			ID: "003 wïder", Priority: -2.5, Kind: "train", Payload: spec.Payload(`{"lr":1e-3,"x":NaN}`), Parent: "001",
			Extra: []spec.Field{{Name: "note", Value: json.RawMessage(`[1, 2]`)}},
		},
		Priority: math.Inf(-1), Parent: "001", Seq: 3, State: spec.StateFailed, Attempt: 2, Failures: 1, Lost: 1, Preempted: 1,
		Closed: 2, Cancelled: true, Interrupted: true, NotBefore: 90 * time.Second,
		Lease: &spec.Lease{Attempt: 2, Claim: 1 << 63, Worker: "wörker", Boot: 5, Class: "h100x8", Until: time.Hour},
		Outcome: &spec.Outcome{Order: 9, Attempt: 2, Claim: 77, Body: []byte("opaque\x00"), Failure: &spec.FailureRecord{
			Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: "exit status 3", Retryable: true,
			Details: map[string]any{"cause": "exit", "code": json.Number("3")}, ExceptionType: "E", JobID: "003/2",
			CreatedAt: "2026-01-02T03:04:05Z", Extra: []spec.Field{{Name: "z", Value: json.RawMessage(`{}`)}},
		}},
		Children: []spec.TaskID{"004", "005"}, Submitted: 1767323045000000001, Started: 1767323045000000002, Ended: -1,
		Unknown: map[string][]byte{"future": {0xc3}},
	}
	meta := Meta{
		Status: spec.StatusRunning, StopReason: "why", Paused: true, PausedClasses: []string{"cpu"}, Budget: 8,
		ClassBudgets: map[string]int{"cpu": 2, "h100x8": 1}, Loaded: true, ImportHash: "hash", NextSeq: 4, NextOrder: 10,
		ResultsID: 1767323045000000003, Unknown: map[string][]byte{"future": {0x07}},
	}
	const runID = "11111111-2222-3333-4444-555555555555"
	ref := AttemptRef{Run: "run", Task: "003 wïder", Attempt: 2, Claim: math.MaxUint64}
	return map[string]any{
		"dispatch": &Dispatch{
			Version: 1, Run: "run", RunID: runID, Epoch: 2, Class: "h100x8", Task: task.Spec, Attempt: 2, LeaseTTL: time.Minute, ResultMax: 1 << 26,
			Recipe: spec.Recipe{
				Argv: []string{"python", "train.py", "--lr=1e-3"}, Env: []string{"SEED=7"}, Dir: "/work", Stdin: []byte("in"), Timeout: time.Hour,
				StallTimeout: time.Minute, Grace: time.Second, Proposer: true,
				Limits: spec.ProcessLimits{Memory: 1 << 30, OpenFiles: 64, CPU: time.Minute},
			},
		},
		"uplink": &Uplink{
			Version: 1, Worker: "wörker", Boot: 5, Host: "h", Full: true, Leaving: true, Slots: []ClassSlots{{Class: "cpu", Free: 1, Total: 4}},
			Running: []Holding{{AttemptRef: ref}}, Finished: []AttemptRef{ref},
		},
		"answer": &Answer{
			Version: 1, Run: "run", Epoch: 2, Hello: true, Stop: []StopOrder{{AttemptRef: ref, Reason: spec.CauseCancelled}},
			Receipt: []AttemptRef{ref}, SendAgain: []AttemptRef{ref},
		},
		"result_message": &ResultMessage{
			Version: 1, Worker: "wörker", Boot: 5, Reports: []Report{
				{AttemptRef: ref, Body: []byte("opaque\x00")},
				{AttemptRef: ref, Preempted: true, Failure: &spec.FailureRecord{Kind: spec.Interrupted, Phase: spec.PhaseRunner}},
				{AttemptRef: ref, Stored: spec.BlobOf([]byte("large"))},
			},
		},
		"rejection": &Rejected{
			Version: 1, Rule: spec.RuleMalformed, Reason: "wärum", At: 1767323045000000006, Epoch: 2, Worker: "wörker", Boot: 5, AttemptRef: ref,
			Child: "c", Data: []byte{0xff}, Size: 9, Stored: spec.BlobOf([]byte("large")),
		},
		"record_commit": &Record{
			Version: 1, Kind: RecordCommit, RunID: runID, Epoch: 2, Commit: 7, Writer: math.MaxUint64, Part: 1, Parts: 1,
			Time: time.Minute, Watermark: 6, Meta: &meta, Unknown: map[string][]byte{"future": {0x93, 1, 2, 3}},
			Changes: []Change{
				{Task: task, Parts: PartAll},
				{Task: &spec.Task{Spec: spec.TaskSpec{ID: "small"}, State: spec.StateQueued}},
			},
		},
		"record_epoch": &Record{
			Version: 1, Kind: RecordEpoch, RunID: runID, Epoch: 1, Commit: 1, Writer: 1, Part: 1, Parts: 1, Meta: &Meta{NextSeq: 1, NextOrder: 1},
		},
		"record_acts": &Record{
			Version: 1, Kind: RecordCommit, RunID: runID, Epoch: 1, Commit: 3, Writer: 1, Part: 1, Parts: 1, Wall: 1767323045000000004,
			Meta: &Meta{Drained: true, NextSeq: 2, NextOrder: 1},
			Acts: []Act{
				{
					Kind: spec.ActReprioritise, Task: "001", Subtree: true, Value: math.Inf(-1), Count: 3, By: "anna", Reason: "wärum",
					At: 1767323045000000005, Unknown: map[string][]byte{"future": {0xc3}},
				},
				{Kind: spec.ActRetry, Task: "001~r1", Origin: "001", Class: "h100x8", Count: 1, By: "ben"},
			},
		},
		"record_rules": &Record{
			Version: 1, Kind: RecordCommit, RunID: runID, Epoch: 1, Commit: 2, Writer: 1, Part: 1, Parts: 1, Meta: &Meta{Rules: &spec.Rules{
				Budget: 4, Kinds: map[string]spec.KindRule{"default": {}, "propose": {Class: "cpu", Uncounted: true}},
			}},
		},
		"record_quarantine": &Record{
			Version: 1, Kind: RecordCommit, RunID: runID, Epoch: 1, Commit: 4, Writer: 1, Part: 1, Parts: 1,
			Meta: &Meta{NextSeq: 2, NextOrder: 1, Quarantined: []spec.Quarantine{{Worker: "wörker", GPU: "GPU-1"}, {Worker: "w2", GPU: "MIG-2"}}},
			Acts: []Act{{
				Kind: spec.ActQuarantine, Class: "h100x8", GPU: "GPU-1", Count: 1, By: "wörker", Reason: "held by process 4711", At: 1767323045000000005,
			}},
		},
		"record_part": &Record{Version: 1, Kind: RecordCommit, RunID: runID, Epoch: 1, Commit: 2, Writer: 1, Part: 2, Parts: 3,
			Changes: []Change{{Task: &spec.Task{Spec: spec.TaskSpec{ID: "t"}, State: spec.StateRunning, Attempt: 1}}}},
		"mirror_meta": &MirrorMeta{
			Version: 1, RunID: runID, Epoch: 2, Commit: 7, Writer: 3, JournalSeq: 8, Time: time.Minute, Watermark: 6, Tasks: 2,
			Meta: meta, Unknown: map[string][]byte{"future": {0xc0 + 2}},
		},
		"mirror_base": &MirrorBase{
			MirrorMeta: MirrorMeta{
				Version: 1, RunID: runID, Epoch: 2, Commit: 7, Writer: 3, JournalSeq: 8, Time: time.Minute, Watermark: 6, Tasks: 2,
				Meta: meta, Unknown: map[string][]byte{"future": {0xc3}},
			},
			Leased: []Change{{Task: &spec.Task{
				Spec: spec.TaskSpec{ID: "t"}, State: spec.StateRunning, Attempt: 1,
				Lease: &spec.Lease{Attempt: 1, Claim: 7, Worker: "w", Boot: 1, Class: "cpu", Until: time.Hour},
			}}},
		},
		"mirror_value": &MirrorValue{JournalSeq: 8, Task: task},
		"result": &spec.TaskResult{
			Children: []spec.TaskSpec{{ID: "c", Kind: "default", Payload: spec.Payload(`{"a":1}`)}},
			Metrics:  map[string]float64{"loss": 0.25, "acc": math.Inf(1)}, Output: json.RawMessage(`{"note":"ü"}`), Attempt: 2,
			Worker: "w", Host: "h", Started: time.Unix(1767323045, 6).UTC(), Duration: time.Second,
			Failure: &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob},
		},
	}
}

func TestVersionOneIsReadForEver(t *testing.T) {
	for name, want := range golden() {
		t.Run(name, func(t *testing.T) {
			f := formFor(t, want)
			data := goldenFile(t, filepath.Join("testdata", "v1", name+".bin"), func() ([]byte, error) { return f.encode(want) })
			got, err := f.decode(data)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %s, error %v\nwant %s", dump(got), err, dump(want))
			}
			if again, err := f.encode(got); err != nil || f.sealed != 0 && !bytes.Equal(again, data) {
				t.Errorf("written again it is another: what a newer version wrote must stay (%v)\n%x\n%x", err, again, data)
			}
		})
	}
}

func formFor(t *testing.T, v any) form {
	t.Helper()
	for _, f := range forms {
		if reflect.TypeOf(f.filled()) == reflect.TypeOf(v) {
			return f
		}
	}
	t.Fatalf("no form for %T", v)
	return form{}
}
