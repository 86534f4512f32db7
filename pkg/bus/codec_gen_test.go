package bus

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// Generators of what the codec carries. Absent and empty mean the same on the wire, so they draw nil, never empty.

func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(
		rapid.StringN(0, 8, -1),
		rapid.SampledFrom([]string{"", "a", "süß", "a.b*>", "\xed\xa0\x80", "x\x00y", "default"}),
	).Draw(t, name)
}

func drawID(t *rapid.T) spec.TaskID { return spec.TaskID("t" + drawText(t, "id")) }

func drawList[T any](t *rapid.T, name string, draw func(t *rapid.T) T) (list []T) {
	for range rapid.IntRange(0, 3).Draw(t, name) {
		list = append(list, draw(t))
	}
	return list
}

func drawFloat(t *rapid.T, name string) float64 { return rapid.Float64().Draw(t, name) }

func drawUint64(t *rapid.T, name string) uint64 {
	return rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300)).Draw(t, name)
}

func drawInt64(t *rapid.T, name string) int64 {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 300)).Draw(t, name)
}

func drawUint32(t *rapid.T, name string) uint32 { return rapid.Uint32().Draw(t, name) }
func drawBool(t *rapid.T, name string) bool     { return rapid.Bool().Draw(t, name) }

func drawTime(t *rapid.T, name string) time.Time {
	if drawBool(t, name+" unset") {
		return time.Time{}
	}
	return time.Unix(drawInt64(t, name)>>20, int64(rapid.IntRange(0, 999_999_999).Draw(t, name+" ns"))).UTC()
}

func drawBytes(t *rapid.T, name string) []byte {
	if drawBool(t, name+" unset") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, name)
}

func drawJSON(t *rapid.T, name string) json.RawMessage {
	return json.RawMessage(rapid.SampledFrom([]string{
		`{}`, `{"a":1}`, `{"lr":NaN,"x":[1.50,-0.0,1e400]}`, `{"big":123456789012345678901234567890}`, `{"s":"\ud800"}`,
	}).Draw(t, name))
}

func drawExtra(t *rapid.T) []spec.Field {
	return drawList(t, "extra", func(t *rapid.T) spec.Field {
		return spec.Field{Name: drawText(t, "name"), Value: drawJSON(t, "value")}
	})
}

func drawMetrics(t *rapid.T) map[string]float64 {
	metrics := map[string]float64{}
	for range rapid.IntRange(0, 3).Draw(t, "metrics") {
		metrics[drawText(t, "metric")] = drawFloat(t, "value")
	}
	if len(metrics) == 0 {
		return nil
	}
	return metrics
}

func drawSpec(t *rapid.T) spec.TaskSpec {
	s := spec.TaskSpec{
		ID: drawID(t), Priority: drawFloat(t, "priority"), Kind: drawText(t, "kind"),
		Parent: spec.TaskID(drawText(t, "parent")), Extra: drawExtra(t),
	}
	if drawBool(t, "payload") {
		s.Payload = spec.Payload(drawJSON(t, "payload"))
	}
	return s
}

func drawFailure(t *rapid.T) *spec.FailureRecord {
	if drawBool(t, "no failure") {
		return nil
	}
	f := &spec.FailureRecord{
		Kind:          rapid.SampledFrom(spec.FailureKinds()).Draw(t, "kind"),
		Phase:         rapid.SampledFrom(spec.FailurePhases()).Draw(t, "phase"),
		Message:       drawText(t, "message"),
		Retryable:     drawBool(t, "retryable"),
		ExceptionType: drawText(t, "exception"),
		JobID:         drawText(t, "job"),
		CreatedAt:     drawText(t, "created"),
		Extra:         drawExtra(t),
	}
	if drawBool(t, "details") {
		f.Details = map[string]any{
			"cause": "exit", "code": json.Number("17"), "big": json.Number("123456789012345678901234567890"),
			"nan": json.Number("NaN"), "list": []any{true, nil, "x", map[string]any{"k": json.Number("-0.0")}},
		}
	}
	return f
}

func drawUnknown(t *rapid.T) map[string][]byte {
	unknown := map[string][]byte{}
	for i := range rapid.IntRange(0, 2).Draw(t, "unknown") {
		w := wire{}
		w.text(drawText(t, "unknown value"))
		unknown[fmt.Sprintf("zz%d", i)] = w.out
	}
	if len(unknown) == 0 {
		return nil
	}
	return unknown
}

func drawChange(t *rapid.T) Change {
	parts := ChangeParts(rapid.IntRange(0, int(PartAll)).Draw(t, "parts"))
	task := drawTask(t)
	if parts&PartSpec == 0 {
		task.Spec = spec.TaskSpec{ID: task.Spec.ID}
		task.Parent, task.Purse, task.Seq, task.Submitted = "", "", 0, 0
	}
	if parts&PartOutcome == 0 {
		task.Outcome = nil
	}
	if parts&PartChildren == 0 {
		task.Children = nil
	}
	return Change{Task: task, Parts: parts}
}

func drawTask(t *rapid.T) *spec.Task {
	task := &spec.Task{
		Spec:        drawSpec(t),
		Priority:    drawFloat(t, "effective"),
		Parent:      spec.TaskID(drawText(t, "parent")),
		Purse:       spec.TaskID(drawText(t, "purse")),
		Seq:         drawUint64(t, "seq"),
		State:       spec.TaskState(rapid.IntRange(1, 6).Draw(t, "state")),
		Attempt:     drawUint32(t, "attempt"),
		Failures:    drawUint32(t, "failures"),
		Lost:        drawUint32(t, "lost"),
		Preempted:   drawUint32(t, "preempted"),
		Closed:      drawUint32(t, "closed"),
		Losses:      drawList(t, "losses", drawLoss),
		Cancelled:   drawBool(t, "cancelled"),
		Interrupted: drawBool(t, "interrupted"),
		NotBefore:   spec.EngineTime(drawInt64(t, "not before")),
		Spent:       drawSpent(t),
		Children:    drawList(t, "children", drawID),
		Submitted:   spec.WallTime(drawInt64(t, "submitted")),
		Started:     spec.WallTime(drawInt64(t, "started")),
		Ended:       spec.WallTime(drawInt64(t, "ended")),
		Unknown:     drawUnknown(t),
	}
	if drawBool(t, "leased") {
		task.Lease = &spec.Lease{
			Avoid: spec.WorkerID(drawText(t, "avoid")), Attempt: drawUint32(t, "attempt"), Claim: spec.ClaimID(drawUint64(t, "claim")),
			Worker: spec.WorkerID(drawText(t, "worker")), Boot: drawUint64(t, "boot"),
			Class: drawText(t, "class"), Until: spec.EngineTime(drawInt64(t, "until")), Since: spec.EngineTime(drawAmount(t, "since")),
			GPUs: rapid.IntRange(0, spec.GPUsMax).Draw(t, "gpus"), PerHour: spec.Cost(drawAmount(t, "per hour")),
		}
	}
	if drawBool(t, "decided") {
		task.Outcome = &spec.Outcome{
			Order: drawUint64(t, "order"), Attempt: drawUint32(t, "attempt"), Claim: spec.ClaimID(drawUint64(t, "claim")),
			Failure: drawFailure(t), Body: drawBytes(t, "body"),
		}
	}
	return task
}

func drawSpent(t *rapid.T) spec.Spent {
	return spec.Spent{
		LeaseTime: time.Duration(drawAmount(t, "lease time")), GPUTime: time.Duration(drawAmount(t, "gpu time")), Cost: spec.Cost(drawAmount(t, "cost")),
		Reported: spec.Cost(drawAmount(t, "reported")),
	}
}

func drawAmount(t *rapid.T, name string) int64 {
	return rapid.Int64Range(0, math.MaxInt64).Draw(t, name)
}

func drawLoss(t *rapid.T) spec.Loss {
	return spec.Loss{
		Attempt: 1 + drawUint32(t, "attempt")>>1, Worker: spec.WorkerID(drawText(t, "worker")), Boot: drawUint64(t, "boot"),
		At: spec.WallTime(drawInt64(t, "at")), Heard: spec.WallTime(drawInt64(t, "heard")), Progress: drawText(t, "progress"),
	}
}

func drawMeta(t *rapid.T) Meta {
	m := Meta{
		Status: spec.Status(drawText(t, "status")), StopReason: drawText(t, "reason"),
		Paused: drawBool(t, "paused"), PausedClasses: drawList(t, "paused classes", func(t *rapid.T) string { return drawText(t, "class") }),
		Drained: drawBool(t, "drained"), Budget: int(drawInt64(t, "budget")), Loaded: drawBool(t, "loaded"), ImportHash: drawText(t, "hash"),
		NextSeq: drawUint64(t, "seq"), NextOrder: drawUint64(t, "order"), ResultsID: drawUint64(t, "results"),
		Quarantined: drawList(t, "quarantined", drawQuarantine), Unknown: drawUnknown(t),
	}
	if drawBool(t, "budgets") {
		m.ClassBudgets = map[string]int{drawText(t, "class"): int(drawInt64(t, "budget"))}
	}
	if drawBool(t, "allowances") {
		m.Allowances = map[spec.TaskID]spec.Allowance{spec.TaskID(drawText(t, "task")): {
			Experiments: rapid.IntRange(0, math.MaxInt32).Draw(t, "experiments"), Duration: time.Duration(drawAmount(t, "duration")),
			GPUTime: time.Duration(drawAmount(t, "gpu time")), Cost: spec.Cost(drawAmount(t, "cost")),
		}}
	}
	if drawBool(t, "warned") {
		m.Warned = map[spec.Limit]int64{spec.Limit(drawText(t, "limit")): drawInt64(t, "warned at")}
	}
	if drawBool(t, "rules") {
		m.Rules = &spec.Rules{Budget: int(drawInt64(t, "budget"))}
		if drawBool(t, "kinds") {
			m.Rules.Kinds = map[string]spec.KindRule{drawText(t, "kind"): {Class: drawText(t, "class"), Uncounted: drawBool(t, "uncounted")}}
		}
	}
	return m
}

func drawQuarantine(t *rapid.T) spec.Quarantine {
	return spec.Quarantine{Worker: spec.WorkerID(drawText(t, "worker")), GPU: drawText(t, "gpu")}
}

func drawRecord(t *rapid.T) *Record {
	r := &Record{
		Version: recordVersionPlain, Kind: RecordKind(rapid.IntRange(1, 2).Draw(t, "kind")), RunID: drawText(t, "run"),
		Epoch: drawUint64(t, "epoch"), Commit: drawUint64(t, "commit"), Writer: drawUint64(t, "writer"),
		Part: 1, Parts: 1, Time: spec.EngineTime(drawInt64(t, "time")), Watermark: drawUint64(t, "watermark"),
		Wall: spec.WallTime(drawInt64(t, "wall")), Acts: drawList(t, "acts", drawAct),
		Changes: drawList(t, "changes", drawChange), Unknown: drawUnknown(t),
	}
	if drawBool(t, "meta") {
		meta := drawMeta(t)
		r.Meta = &meta
	}
	return r
}

func drawAct(t *rapid.T) Act {
	return Act{
		Kind: spec.ActKind(drawText(t, "kind")), Task: spec.TaskID(drawText(t, "task")), Origin: spec.TaskID(drawText(t, "origin")),
		Class: drawText(t, "class"), GPU: drawText(t, "gpu"), Subtree: drawBool(t, "subtree"), Value: float64(drawInt64(t, "value")),
		Count: rapid.IntRange(0, math.MaxInt32).Draw(t, "count"), By: drawText(t, "by"), Reason: drawText(t, "reason"),
		At: spec.WallTime(drawInt64(t, "at")), Limit: spec.Limit(drawText(t, "limit")), Used: float64(drawInt64(t, "used")),
		Unknown: drawUnknown(t),
	}
}

func drawRef(t *rapid.T) AttemptRef {
	return AttemptRef{
		Run: spec.RunName(drawText(t, "run")), Task: drawID(t), Attempt: drawUint32(t, "attempt"),
		Claim: spec.ClaimID(drawUint64(t, "claim")),
	}
}

// filled returns a value in which every field that can hold something does, so that a field the codec forgot is seen.
func filled[T any]() *T {
	value := new(T)
	n := 0
	fillValue(reflect.ValueOf(value).Elem(), &n)
	return value
}

func fillValue(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 5).UTC()))
		return
	case json.RawMessage, spec.Payload:
		v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, *n))
		return
	case spec.Blob:
		return // in place of other fields: codec_blob_test.go
	case map[string]any:
		v.Set(reflect.ValueOf(map[string]any{"n": json.Number(fmt.Sprint(*n))}))
		return
	case map[string][]byte:
		v.Set(reflect.ValueOf(map[string][]byte{fmt.Sprintf("unknown%d", *n): {0xc3}}))
		return
	case spec.TaskState:
		v.SetUint(uint64(spec.StateReported))
		return
	case ChangeParts:
		v.SetUint(uint64(PartAll))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(v.Index(0), n)
		fillValue(v.Index(1), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillValue(key, n)
		fillValue(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		panic("fill " + v.Type().String())
	}
}
