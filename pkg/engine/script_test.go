package engine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"autoresearch/pkg/spec"
)

// TestScripts runs the files of testdata, which are the specification of the engine. Every block is one turn: its lines
// are events, in the order in which they arrive, and below the dashes stands the output of the Collect that ends the
// turn, in the order in which the shell acts on it. testdata/README.md lists the commands.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, isScript := strings.CutSuffix(file.Name(), ".txt")
		if !isScript {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript()
			datadriven.RunTest(t, "testdata/"+file.Name(), s.block)
		})
	}
}

// script is the state of one file: an engine, and the fold of its outputs.
type script struct {
	cfg    Config
	engine *Engine
	fold   *fold
	now    Now
	ref    uint64
	seen   map[string]uint64 // the versions noted by "see"
}

func newScript() *script {
	s := &script{seen: make(map[string]uint64)}
	s.start(Config{})
	return s
}

// start begins a new run at time zero, with its first specs (none) loaded.
func (s *script) start(cfg Config) {
	s.cfg, s.now, s.fold = cfg, Now{}, newFold()
	s.engine = New(cfg)
}

// block runs one turn.
func (s *script) block(t *testing.T, td *datadriven.TestData) string {
	lines := append([]line{{cmd: td.Cmd, args: td.CmdArgs}}, parseLines(t, td)...)
	if show, ok := queries[td.Cmd]; ok {
		return show(s)
	}
	for i := 0; i < len(lines); i++ {
		switch l := lines[i]; l.cmd {
		case "config":
			s.configure(t, l, lines[i+1:])
			return "ok"
		case "crash":
			s.configure(t, l, lines[i+1:])
			i = len(lines)
		default:
			s.event(t, l)
		}
	}
	return s.collect(t)
}

// collect ends the turn, folds its output and recounts the engine.
func (s *script) collect(t *testing.T) string {
	out := s.engine.Collect(s.now)
	text := describe(out)
	err := s.fold.take(out)
	s.engine.Reset()
	err = errors.Join(err, checkEngine(s.engine, s.now), checkReset(s.engine), s.fold.check(s.engine, s.now))
	if err != nil {
		t.Errorf("after\n%s\n%v", text, err)
	}
	if text == "" {
		return "nothing"
	}
	return text
}

// queries are blocks of their own that show something and change nothing.
var queries = map[string]func(*script) string{
	"tasks":  func(s *script) string { return describeLive(s.engine) },
	"counts": func(s *script) string { return describeCounts(s.engine.Counts()) },
	"spent": func(s *script) string {
		spending := s.engine.Spending()
		return fmt.Sprintf("%s experiments:%d", describeSpent(spending.By(s.now.Engine)), spending.Experiments)
	},
	"demands": func(s *script) string { return fmt.Sprint(s.engine.Demands()) },
	"status": func(s *script) string {
		status, reason := s.engine.Status()
		return strings.TrimSpace(fmt.Sprintf("%s %s", status, reason))
	},
	"deadline": func(s *script) string {
		if at, ok := s.engine.NextDeadline(); ok {
			return at.String()
		}
		return "none"
	},
}

// line is one command with its arguments: words, and key=value.
type line struct {
	cmd  string
	args []datadriven.CmdArg
}

func parseLines(t *testing.T, td *datadriven.TestData) (lines []line) {
	for text := range strings.Lines(td.Input) {
		if text = strings.TrimSpace(text); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		cmd, args, err := datadriven.ParseLine(text)
		if err != nil {
			t.Fatalf("%s: %v", td.Pos, err)
		}
		lines = append(lines, line{cmd, args})
	}
	return lines
}

// word returns the n-th argument that has no value, "" if there are fewer.
func (l line) word(n int) string {
	for _, a := range l.args {
		if len(a.Vals) > 0 {
			continue
		}
		if n == 0 {
			return a.Key
		}
		n--
	}
	return ""
}

// has reports whether a word stands among the arguments.
func (l line) has(word string) bool {
	for n := 0; ; n++ {
		switch l.word(n) {
		case "":
			return false
		case word:
			return true
		}
	}
}

func (l line) values(key string) []string {
	for _, a := range l.args {
		if a.Key == key {
			return a.Vals
		}
	}
	return nil
}

func (l line) value(key, otherwise string) string {
	if v := l.values(key); len(v) > 0 {
		return v[0]
	}
	return otherwise
}

func (l line) number(t *testing.T, key string, otherwise float64) float64 {
	v := l.value(key, "")
	if v == "" {
		return otherwise
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		t.Fatalf("%s: %s: %v", l.cmd, key, err)
	}
	return f
}

func (l line) duration(t *testing.T, key string) time.Duration {
	v := l.value(key, "0s")
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatalf("%s: %s: %v", l.cmd, key, err)
	}
	return d
}

// configure begins a new run (config), or restores the run from the fold of its outputs in a new engine (crash); what a
// crash does not mention stays.
func (s *script) configure(t *testing.T, l line, rest []line) {
	cfg := s.cfg
	if l.cmd == "config" {
		cfg = Config{}
	}
	readConfig(t, &cfg, l)
	if len(rest) > 0 {
		cfg.Kinds = make(map[string]spec.KindPolicy)
	}
	for _, k := range rest {
		readKind(t, &cfg, k)
	}
	if l.cmd == "crash" {
		s.cfg, s.engine = cfg, s.fold.restore(cfg, s.now)
		return
	}
	s.start(cfg)
	if !l.has("unloaded") {
		s.engine.meta.Loaded = true // as if an earlier turn had
	}
	s.fold.meta = s.engine.Meta()
}

func readConfig(t *testing.T, cfg *Config, l line) {
	cfg.Weight = l.number(t, "weight", cfg.Weight)
	cfg.Budget = int(l.number(t, "budget", float64(cfg.Budget)))
	cfg.Hooks = l.has("hooks") || cfg.Hooks && !l.has("no-hooks")
	cfg.Strict = l.has("strict") || cfg.Strict
	cfg.Limits.MaxExperiments = int(l.number(t, "max-experiments", float64(cfg.Limits.MaxExperiments)))
	if l.values("max-duration") != nil {
		cfg.Limits.MaxDuration = l.duration(t, "max-duration")
	}
	if l.values("max-gpu-time") != nil {
		cfg.Limits.MaxGPUTime = l.duration(t, "max-gpu-time")
	}
	if l.values("max-cost") != nil {
		cfg.Limits.MaxCost = readCost(t, l.value("max-cost", ""))
	}
	cfg.MaxLost = int(l.number(t, "max-lost", float64(cfg.MaxLost)))
	cfg.MaxPreempted = int(l.number(t, "max-preempted", float64(cfg.MaxPreempted)))
	cfg.MaxChildren = int(l.number(t, "max-children", float64(cfg.MaxChildren)))
	cfg.MaxSpecSize = int(l.number(t, "max-spec-size", float64(cfg.MaxSpecSize)))
	cfg.MaxTaskSize = int(l.number(t, "max-task-size", float64(cfg.MaxTaskSize)))
	cfg.MaxPayload = int64(l.number(t, "max-payload", float64(cfg.MaxPayload)))
	cfg.MaxDepth = int(l.number(t, "max-depth", float64(cfg.MaxDepth)))
	cfg.Breaker = int(l.number(t, "breaker", float64(cfg.Breaker)))
	cfg.MaxReported = int(l.number(t, "max-reported", float64(cfg.MaxReported)))
	if prices := l.values("prices"); prices != nil {
		cfg.Prices.Classes = readPrices(t, prices)
	}
}

// readPrices reads "class:slot-hour/GPU-hour".
func readPrices(t *testing.T, words []string) map[string]spec.Price {
	prices := make(map[string]spec.Price)
	for _, word := range words {
		class, numbers, _ := strings.Cut(word, ":")
		slot, gpu, _ := strings.Cut(numbers, "/")
		prices[class] = spec.Price{SlotHour: readCost(t, slot), GPUHour: readCost(t, gpu)}
	}
	return prices
}

func readCost(t *testing.T, text string) spec.Cost {
	units, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	cost, err := spec.CostOf(units)
	if err != nil {
		t.Fatal(err)
	}
	return cost
}

func readKind(t *testing.T, cfg *Config, l line) {
	if l.cmd != "kind" {
		t.Fatalf("%s: want kind", l.cmd)
	}
	cfg.Kinds[l.word(0)] = spec.KindPolicy{
		Class: l.value("class", ""), Retries: int(l.number(t, "retries", 0)), Uncounted: l.has("uncounted"),
		Backoff: l.duration(t, "backoff"), MaxLost: int(l.number(t, "max-lost", 0)), MaxPreempted: int(l.number(t, "max-preempted", 0)),
	}
}

// event runs one line of a turn.
func (s *script) event(t *testing.T, l line) {
	if l.cmd == "advance" {
		s.advance(t, l)
		return
	}
	if l.cmd == "see" {
		s.see(t, l)
		return
	}
	read, ok := events[l.cmd]
	if !ok {
		t.Fatalf("no command %q", l.cmd)
	}
	s.ref++
	ev := read(t, l, s.ref)
	if as := l.value("as-seen", ""); as != "" {
		ev = matching(t, ev, s.seen[as])
	}
	s.engine.Step(s.now, ev)
}

// see notes the version of a task, or of the run's settings, under a name.
func (s *script) see(t *testing.T, l line) {
	if l.word(0) == "settings" {
		meta := s.engine.Meta()
		s.seen["settings"] = meta.SettingsVersion()
		return
	}
	task, ok := s.engine.Task(spec.TaskID(l.word(0)))
	if !ok {
		t.Fatalf("see: no live task %s", l.word(0))
	}
	s.seen[l.word(0)] = task.Version()
}

// matching returns the event with the version that it must meet.
func matching(t *testing.T, ev Event, version uint64) Event {
	switch ev := ev.(type) {
	case Cancel:
		ev.Match = version
		return ev
	case Reprioritise:
		ev.Match = version
		return ev
	case Pause:
		ev.Match = version
		return ev
	case SetBudget:
		ev.Match = version
		return ev
	case Drain:
		ev.Match = version
		return ev
	case SetAllowance:
		ev.Match = version
		return ev
	}
	t.Fatalf("%T matches nothing", ev)
	return nil
}

// asked reads who asks, and why.
func asked(l line) Asked { return Asked{By: l.value("by", ""), Reason: l.value("reason", "")} }

// advance moves the time on: by the duration given, or to the next deadline.
func (s *script) advance(t *testing.T, l line) {
	if l.word(0) == "" {
		at, ok := s.engine.NextDeadline()
		if !ok {
			t.Fatal("advance: nothing waits")
		}
		s.now.Engine = at
		return
	}
	d, err := time.ParseDuration(l.word(0))
	if err != nil {
		t.Fatal(err)
	}
	s.now.Engine += d
}

// events reads the commands that are events.
var events = map[string]func(t *testing.T, l line, ref uint64) Event{
	"submit": func(t *testing.T, l line, ref uint64) Event {
		ev := Submit{
			Ref: ref, Specs: []spec.TaskSpec{readSpec(t, l)}, Asked: asked(l), RetryOf: spec.TaskID(l.value("retry-of", "")),
		}
		if l.has("from-file") {
			ev.Source = SourceFile
		}
		return ev
	},
	"loaded":        func(_ *testing.T, l line, _ uint64) Event { return Loaded{Hash: l.value("hash", "")} },
	"begin":         func(_ *testing.T, l line, _ uint64) Event { return Begin{Resume: l.has("resume")} },
	"lost-doorbell": func(_ *testing.T, _ line, _ uint64) Event { return DoorbellLost{} },
	"reconnected":   func(_ *testing.T, _ line, _ uint64) Event { return Reconnected{} },
	"interrupt":     func(_ *testing.T, _ line, ref uint64) Event { return Interrupt{Ref: ref} },
	"demand": func(t *testing.T, l line, _ uint64) Event {
		d := Demand{Run: spec.RunName(l.word(0)), Weight: l.number(t, "weight", 1)}
		for _, word := range l.values("classes") {
			s := readSlots(t, word)
			d.Classes = append(d.Classes, spec.ClassDemand{Class: s.Class, Leases: s.Free, Wants: s.Total})
		}
		return d
	},
	"heartbeat": func(t *testing.T, l line, _ uint64) Event { return readHeartbeat(t, l, true) },
	"started":   func(t *testing.T, l line, _ uint64) Event { return readHeartbeat(t, l, false) },
	"report":    readReport,
	"hook": func(t *testing.T, l line, _ uint64) Event {
		ev := HookDone{
			Task: spec.TaskID(l.word(0)), Order: uint64(l.number(t, "order", 0)), Children: readChildren(t, l),
			StopReason: l.value("stop", ""),
		}
		if l.has("fail") || l.value("cause", "") != "" {
			ev.Failure = &spec.FailureRecord{Kind: spec.PlanningFailed, Phase: spec.PhasePlanning, Message: "the hook failed"}
		}
		return ev
	},
	"cancel": func(_ *testing.T, l line, ref uint64) Event {
		return Cancel{Ref: ref, Task: spec.TaskID(l.word(0)), Subtree: l.has("subtree"), Asked: asked(l)}
	},
	"prioritise": func(t *testing.T, l line, ref uint64) Event {
		return Reprioritise{
			Ref: ref, Task: spec.TaskID(l.word(0)), Subtree: l.has("subtree"), Priority: l.number(t, "priority", 0),
			Asked: asked(l),
		}
	},
	"pause": func(_ *testing.T, l line, ref uint64) Event {
		return Pause{Ref: ref, Class: l.word(0), On: true, Asked: asked(l)}
	},
	"resume": func(_ *testing.T, l line, ref uint64) Event {
		return Pause{Ref: ref, Class: l.word(0), Asked: asked(l)}
	},
	"drain": func(_ *testing.T, l line, ref uint64) Event { return Drain{Ref: ref, Asked: asked(l)} },
	"budget": func(t *testing.T, l line, ref uint64) Event {
		n, err := strconv.Atoi(l.word(0))
		if err != nil {
			t.Fatal(err)
		}
		return SetBudget{Ref: ref, Class: l.value("class", ""), Budget: n, Asked: asked(l)}
	},
	"allow": func(t *testing.T, l line, ref uint64) Event {
		return SetAllowance{Ref: ref, Task: spec.TaskID(l.word(0)), Allowance: readAllowance(t, l), Asked: asked(l)}
	},
	"stop-rule": func(_ *testing.T, l line, _ uint64) Event { return Stop{Reason: l.value("reason", "")} },
}

func readSpec(t *testing.T, l line) spec.TaskSpec {
	ts := spec.TaskSpec{
		ID: spec.TaskID(l.word(0)), Priority: l.number(t, "priority", 0), Kind: l.value("kind", spec.KindDefault),
		Parent: spec.TaskID(l.value("parent", "")),
	}
	if a := readAllowance(t, l); !a.IsZero() {
		ts.Extra = append(ts.Extra, a.Field())
	}
	if x := l.value("x", ""); x != "" {
		ts.Payload = spec.Payload(`{"x":` + x + `}`)
	}
	return ts
}

func readAllowance(t *testing.T, l line) spec.Allowance {
	a := spec.Allowance{
		Experiments: int(l.number(t, "max-experiments", 0)), GPUTime: l.duration(t, "max-gpu-time"), Duration: l.duration(t, "max-duration"),
	}
	if cost := l.value("max-cost", ""); cost != "" {
		a.Cost = readCost(t, cost)
	}
	return a
}

// readChildren reads "b", "b@-1" (a priority) and "b^p" (a parent it names).
func readChildren(t *testing.T, l line) (children []spec.TaskSpec) {
	for _, word := range l.values("children") {
		word, parent, _ := strings.Cut(word, "^")
		id, priority, _ := strings.Cut(word, "@")
		ts := spec.TaskSpec{ID: spec.TaskID(id), Kind: spec.KindDefault, Parent: spec.TaskID(parent)}
		if priority != "" {
			f, err := strconv.ParseFloat(priority, 64)
			if err != nil {
				t.Fatal(err)
			}
			ts.Priority = f
		}
		children = append(children, ts)
	}
	return children
}

// readRef reads "task/attempt/cN".
func readRef(t *testing.T, word string) spec.AttemptRef {
	parts := strings.Split(word, "/")
	if len(parts) != 3 {
		t.Fatalf("%q: want task/attempt/cN", word)
	}
	attempt, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := strconv.ParseUint(strings.TrimPrefix(parts[2], "c"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return spec.AttemptRef{Task: spec.TaskID(parts[0]), Attempt: uint32(attempt), Claim: spec.ClaimID(claim)}
}

// readHeartbeat reads a full heartbeat, or a start notice, whose attempts stand as words.
func readHeartbeat(t *testing.T, l line, full bool) Heartbeat {
	hb := Heartbeat{
		Worker: spec.WorkerID(l.word(0)), Boot: uint64(l.number(t, "boot", 1)), Full: full, Leaving: l.has("leaving"),
		Others: int(l.number(t, "others", 0)),
	}
	running := l.values("running")
	for n := 1; !full && l.word(n) != ""; n++ {
		running = append(running, l.word(n))
	}
	for _, word := range running {
		hb.Running = append(hb.Running, spec.Holding{
			AttemptRef: readRef(t, word), GPUs: int(l.number(t, "gpus", 0)), Progress: l.value("progress", ""),
		})
	}
	for _, word := range l.values("finished") {
		hb.Finished = append(hb.Finished, readRef(t, word))
	}
	for _, word := range l.values("slots") {
		hb.Slots = append(hb.Slots, readSlots(t, word))
	}
	for _, word := range l.values("gpus") {
		hb.GPUs = append(hb.GPUs, readGPU(l, word))
	}
	return hb
}

// readGPU reads "class:uuid/state".
func readGPU(l line, word string) spec.GPUStatus {
	class, gpu, _ := strings.Cut(word, ":")
	uuid, state, _ := strings.Cut(gpu, "/")
	return spec.GPUStatus{Class: class, UUID: uuid, State: state, Reason: l.value("reason", "")}
}

// readSlots reads "class:free" or "class:free/total".
func readSlots(t *testing.T, word string) spec.ClassSlots {
	class, numbers, _ := strings.Cut(word, ":")
	free, total, both := strings.Cut(numbers, "/")
	if !both {
		total = free
	}
	f, err1 := strconv.Atoi(free)
	n, err2 := strconv.Atoi(total)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return spec.ClassSlots{Class: class, Free: f, Total: n}
}

// readReport reads the arrival of a result: ok, fail, fail retryable, or preempted.
func readReport(t *testing.T, l line, _ uint64) Event {
	r := Reported{
		AttemptRef: readRef(t, l.word(0)), Worker: spec.WorkerID(l.value("worker", "w1")),
		Preempted: l.has("preempted"), Children: readChildren(t, l),
	}
	if cost := l.value("cost", ""); cost != "" {
		r.Cost = readCost(t, cost)
	}
	if body := l.value("body", ""); body != "" {
		r.Body = []byte(body)
	}
	if l.has("fail") || l.value("cause", "") != "" {
		r.Failure = &spec.FailureRecord{
			Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob, Message: "exit 1", Retryable: l.has("retryable"),
		}
	}
	if cause := l.value("cause", ""); cause != "" {
		r.Failure.Details = map[string]any{"cause": cause}
	}
	if !l.has("ok") && !l.has("fail") && !l.has("preempted") {
		t.Fatalf("report %s: want ok, fail or preempted", l.word(0))
	}
	return r
}
