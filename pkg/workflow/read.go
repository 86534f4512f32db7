package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// reader turns a tree into a File and collects what is wrong on the way.
type reader struct {
	path     string
	problems Problems
	// places remembers where each value was written, by its dotted path, for checks made later.
	places map[string]position
}

// file reads the whole of a file.
func (r *reader) file(tree *node, f *File) {
	if tree.null() {
		r.refuse(position{}, "", "the file is empty")
		return
	}
	if r.isObject(tree, "") {
		r.object(tree, "", r.fileKeys(f))
		f.complete()
		r.validate(f)
	}
}

// keys says, for one section of the file, which keys it may have and how each is read. These tables are the grammar of
// the file; a test holds schema.json to them.
type keys map[string]func(n *node, field string)

func (r *reader) fileKeys(f *File) keys {
	return keys{
		"name":            func(n *node, field string) { f.Name = r.text(n, field) },
		"objective":       func(n *node, field string) { r.object(n, field, r.objectiveKeys(f)) },
		"max_concurrency": func(n *node, field string) { f.MaxConcurrency = r.integer(n, field, 1, queueMax) },
		"kinds":           func(n *node, field string) { r.kinds(n, field, f) },
		"initial":         func(n *node, field string) { r.initial(n, field, f) },
		"space":           func(n *node, field string) { r.space(n, field, f) },
		"proposer":        func(n *node, field string) { r.proposer(n, field, f) },
		"limits":          func(n *node, field string) { r.object(n, field, r.limitsKeys(&f.Limits)) },
		"stop":            func(n *node, field string) { r.object(n, field, r.stopKeys(&f.Stop)) },
		"prices":          func(n *node, field string) { r.object(n, field, r.pricesKeys(&f.Prices)) },
		"notify":          func(n *node, field string) { r.notify(n, field, f) },
	}
}

func (r *reader) objectiveKeys(f *File) keys {
	return keys{
		"metric": func(n *node, field string) { f.Objective.Metric = r.text(n, field) },
		"direction": func(n *node, field string) {
			f.Objective.Maximize = r.choice(n, field, directionMinimize, directionMaximize) == directionMaximize
		},
	}
}

func (r *reader) kindKeys(k *Kind) keys {
	return keys{
		"command":       func(n *node, field string) { k.argv = r.command(n, field) },
		"env":           func(n *node, field string) { k.env = r.environment(n, field) },
		"secrets":       func(n *node, field string) { k.secrets = r.secrets(n, field) },
		"class":         func(n *node, field string) { k.Class = r.text(n, field) },
		"requires":      func(n *node, field string) { k.Requires = r.labels(n, field) },
		"timeout":       func(n *node, field string) { k.Timeout = r.duration(n, field, 0) },
		"stall_timeout": func(n *node, field string) { k.StallTimeout = r.duration(n, field, 0) },
		"grace":         func(n *node, field string) { k.Grace = r.duration(n, field, time.Millisecond) },
		"retries":       func(n *node, field string) { k.Retries = r.integer(n, field, 0, math.MaxInt32) },
		"backoff":       func(n *node, field string) { k.Backoff = r.duration(n, field, time.Millisecond) },
		"max_lost":      func(n *node, field string) { k.MaxLost = r.integer(n, field, 1, math.MaxInt32) },
		"max_preempted": func(n *node, field string) { k.MaxPreempted = r.integer(n, field, 1, math.MaxInt32) },
		"limits":        func(n *node, field string) { r.object(n, field, r.processLimitKeys(&k.Limits)) },
		"code":          func(n *node, field string) { k.Code = r.code(n, field) },
	}
}

func (r *reader) secretKeys(s *spec.Secret) keys {
	return keys{
		"env":  func(n *node, field string) { s.Env = r.text(n, field) },
		"file": func(n *node, field string) { s.File = r.text(n, field) },
	}
}

func (r *reader) processLimitKeys(l *spec.ProcessLimits) keys {
	return keys{
		"memory":     func(n *node, field string) { l.Memory = r.memory(n, field) },
		"open_files": func(n *node, field string) { l.OpenFiles = r.integer(n, field, 8, math.MaxInt32) },
		"cpu":        func(n *node, field string) { l.CPU = r.duration(n, field, time.Second) },
	}
}

func (r *reader) initialKeys(s *spec.TaskSpec) keys {
	own := func(key string) func(n *node, field string) {
		return func(n *node, field string) {
			value := strconv.Quote(r.duration(n, field, 0).String())
			s.Extra = append(s.Extra, spec.Field{Name: key, Value: json.RawMessage(value)})
		}
	}
	return keys{
		spec.KeyTimeout:      own(spec.KeyTimeout),
		spec.KeyStallTimeout: own(spec.KeyStallTimeout),
		spec.KeyAllowance: func(n *node, field string) {
			var a spec.Allowance
			r.object(n, field, r.allowanceKeys(&a))
			s.Extra = append(s.Extra, a.Field())
		},

		"id":       func(n *node, field string) { s.ID = spec.TaskID(r.text(n, field)) },
		"kind":     func(n *node, field string) { s.Kind = r.text(n, field) },
		"priority": func(n *node, field string) { s.Priority = r.priority(n, field) },
		"payload":  func(n *node, field string) { s.Payload = r.payload(n, field) },
	}
}

func (r *reader) dimensionKeys(d *Dimension) keys {
	return keys{
		string(ScaleInt):      func(n *node, field string) { r.bounds(n, field, d, ScaleInt) },
		string(ScaleFloat):    func(n *node, field string) { r.bounds(n, field, d, ScaleFloat) },
		string(ScaleLogFloat): func(n *node, field string) { r.bounds(n, field, d, ScaleLogFloat) },
		string(ScaleChoice):   func(n *node, field string) { r.choices(n, field, d) },
	}
}

func (r *reader) proposerKeys(p *Proposer) keys {
	return keys{
		"strategy": func(n *node, field string) {
			p.Strategy = r.choice(n, field, StrategyMutate, StrategyRandom)
		},
		"children": func(n *node, field string) { p.Children = r.integer(n, field, 1, math.MaxInt32) },
		"seed":     func(n *node, field string) { p.Seed = r.integer(n, field, math.MinInt, math.MaxInt) },
		"ahead":    func(n *node, field string) { p.Ahead = r.integer(n, field, 0, queueMax) },
		"kind":     func(n *node, field string) { p.Kind = r.text(n, field) },
		"command":  func(n *node, field string) { p.command.argv = r.command(n, field) },
		"class":    func(n *node, field string) { p.command.Class = r.text(n, field) },
		"timeout":  func(n *node, field string) { p.command.Timeout = r.duration(n, field, 0) },
	}
}

func (r *reader) stopKeys(s *Stop) keys {
	return keys{
		"max_experiments": func(n *node, field string) { s.MaxExperiments = r.integer(n, field, 1, math.MaxInt32) },
		"patience":        func(n *node, field string) { s.Patience = r.integer(n, field, 1, math.MaxInt32) },
		"max_duration":    func(n *node, field string) { s.MaxDuration = r.duration(n, field, time.Millisecond) },
		"max_gpu_hours":   func(n *node, field string) { s.MaxGPUTime = r.hours(n, field) },
		"max_cost":        func(n *node, field string) { s.MaxCost = r.allowedCost(n, field) },
	}
}

func (r *reader) limitsKeys(l *spec.SizeLimits) keys {
	return keys{
		"children": func(n *node, field string) { l.Children = r.integer(n, field, 1, math.MaxInt32) },
		"depth":    func(n *node, field string) { l.Depth = r.integer(n, field, 1, math.MaxInt32) },
		"payload":  func(n *node, field string) { l.Payload = r.size(n, field) },
		"result":   func(n *node, field string) { l.Result = r.size(n, field) },
	}
}

// refuse notes a problem.
func (r *reader) refuse(place position, field, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: r.path, Line: place.line, Column: place.column, Override: place.override,
		Field: field, Message: fmt.Sprintf(format, args...),
	})
}

// refuseAt notes a problem of a field that was read before, or of one that is missing from the section above it.
func (r *reader) refuseAt(field, format string, args ...any) {
	place, known := r.places[field]
	for parent := field; !known && parent != ""; {
		parent = parent[:max(0, strings.LastIndexByte(parent, '.'))]
		place, known = r.places[parent]
	}
	r.refuse(place, field, format, args...)
}

// under returns the dotted path of a key, at that of a list entry.
func under(field, key string) string {
	if field == "" {
		return key
	}
	return field + "." + key
}

func at(field string, index int) string { return under(field, strconv.Itoa(index)) }

// object reads a section by its table.
func (r *reader) object(n *node, field string, known keys) {
	if !r.isObject(n, field) {
		return
	}
	for _, f := range n.fields {
		path := under(field, f.name)
		read, ok := known[f.name]
		if !ok {
			r.refuse(f.at, path, "%s", unknownKey(f.name, known))
			continue
		}
		if !f.value.null() {
			r.places[path] = f.value.at
			read(f.value, path)
		}
	}
}

func (r *reader) isObject(n *node, field string) bool {
	r.places[field] = n.at
	if n.shape != objectShape {
		r.refuse(n.at, field, "%s where a mapping (key: value) is needed", n.what())
		return false
	}
	return true
}

func unknownKey(name string, known keys) string {
	names := make([]string, 0, len(known))
	for key := range known {
		names = append(names, key)
	}
	slices.Sort(names)
	if meant := nearest(name, names); meant != "" {
		return fmt.Sprintf("unknown key; did you mean %s?", meant)
	}
	return "unknown key; known are " + strings.Join(names, ", ")
}

// text reads a scalar of any type as the characters that were written; it must not be empty.
func (r *reader) text(n *node, field string) string {
	if n.shape != scalarShape || n.null() || n.text == "" {
		r.refuse(n.at, field, "%s where text is needed", n.what())
		return ""
	}
	return n.text
}

// choice reads one of the given words.
func (r *reader) choice(n *node, field string, allowed ...string) string {
	if n.shape == scalarShape && slices.Contains(allowed, n.text) {
		return n.text
	}
	message := fmt.Sprintf("%s is not one of %s", n.what(), strings.Join(allowed, ", "))
	if meant := nearest(n.text, allowed); n.shape == scalarShape && meant != "" {
		message += fmt.Sprintf("; did you mean %s?", meant)
	}
	r.refuse(n.at, field, "%s", message)
	return ""
}

// queueMax bounds max_concurrency and ahead: so many specs are made at once.
const queueMax = 100_000

// integer reads a whole number from low to high.
func (r *reader) integer(n *node, field string, low, high int) int {
	value, err := strconv.Atoi(n.text)
	switch {
	case n.shape != scalarShape || n.tag != "!!int" || err != nil || octal.MatchString(n.text):
		r.refuse(n.at, field, "%s is not a whole number", n.what())
	case value < low:
		r.refuse(n.at, field, "%d is too small; the least is %d", value, low)
	case value > high:
		r.refuse(n.at, field, "%d is too large; the most is %d", value, high)
	}
	return min(max(value, low), high)
}

// size reads a number of bytes.
func (r *reader) size(n *node, field string) int64 {
	if n.shape != scalarShape {
		r.refuse(n.at, field, "%s is no size", n.what())
		return 0
	}
	bytes, err := spec.ParseSize(n.text)
	switch {
	case err != nil:
		r.refuse(n.at, field, "%v", err)
	case bytes > spec.SizeMax:
		r.refuse(n.at, field, "%s is too large; the most is %s", n.text, spec.FormatSize(spec.SizeMax))
	}
	return bytes
}

// float reads a number; infinities are fine, NaN is not.
func (r *reader) float(n *node, field string) (value float64, ok bool) {
	if n.shape == scalarShape && (n.tag == "!!int" || n.tag == "!!float") {
		if number, complaint := numberText(n.text); complaint == "" {
			value, err := strconv.ParseFloat(number, 64)
			if err == nil && !math.IsNaN(value) {
				return value, true
			}
		}
	}
	r.refuse(n.at, field, "%s is not a number", n.what())
	return 0, false
}

func (r *reader) priority(n *node, field string) float64 {
	value, _ := r.float(n, field)
	return value
}

// duration reads a Go duration ("1h30m") of at least low; a plain 0 is fine where low is 0.
func (r *reader) duration(n *node, field string, low time.Duration) time.Duration {
	value, err := time.ParseDuration(n.text)
	switch {
	case n.shape != scalarShape || n.null() || err != nil:
		r.refuse(n.at, field, "%s is not a duration; write it like 10m or 1h30m", n.what())
	case value < low:
		r.refuse(n.at, field, "%s is too short; the least is %s", n.text, low)
	}
	return max(value, low)
}

// memoryMin is the least limit on memory: below it no program starts.
const memoryMin = 16 << 20

// memory reads the size of a process.
func (r *reader) memory(n *node, field string) int64 {
	bytes, err := spec.ParseSize(n.text)
	switch {
	case n.shape != scalarShape || err != nil:
		r.refuse(n.at, field, "%s is no size; write it like 512MiB or 16GiB", n.what())
	case bytes < memoryMin:
		r.refuse(n.at, field, "%s is too small; the least is %s", n.text, spec.FormatSize(memoryMin))
	}
	return bytes
}

// command reads an argument list, each argument a template.
func (r *reader) command(n *node, field string) []template {
	if n.shape == scalarShape {
		r.refuse(n.at, field, "%s is not a list; write it like [./train, --lr, \"{{.payload.lr}}\"], "+
			"or [sh, -c, \"...\"] for a line of shell", n.what())
		return nil
	}
	if n.shape == objectShape || len(n.items) == 0 {
		r.refuse(n.at, field, "a command is a list of at least one argument")
		return nil
	}
	argv := make([]template, 0, len(n.items))
	for i, item := range n.items {
		argv = append(argv, r.template(item, at(field, i)))
	}
	return argv
}

// labels reads what a kind requires of workers.
func (r *reader) labels(n *node, field string) map[string]string {
	if !r.isObject(n, field) {
		return nil
	}
	labels := make(map[string]string, len(n.fields))
	for _, f := range n.fields {
		path := under(field, f.name)
		value := r.text(f.value, path)
		if !spec.LabelValid(f.name+"="+value) || strings.Contains(f.name, "=") {
			r.refuse(f.at, path, "a label has a name and a value, without spaces, commas and brackets, as zone: a")
			continue
		}
		labels[f.name] = value
	}
	return labels
}

// environment reads variables with template values, in the order of the file.
func (r *reader) environment(n *node, field string) []variable {
	if !r.isObject(n, field) {
		return nil
	}
	env := make([]variable, 0, len(n.fields))
	for _, f := range n.fields {
		path := under(field, f.name)
		if f.name == "" || strings.ContainsAny(f.name, "=\x00") {
			r.refuse(f.at, path, "an environment variable's name is not empty and has no \"=\" in it")
			continue
		}
		env = append(env, variable{name: f.name, value: r.template(f.value, path)})
	}
	return env
}

// secrets reads where workers find the values of variables, in the order of the file.
func (r *reader) secrets(n *node, field string) (list []spec.Secret) {
	if !r.isObject(n, field) {
		return nil
	}
	for _, f := range n.fields {
		path, before := under(field, f.name), len(r.problems)
		if f.value.shape == scalarShape {
			r.refuse(f.at, path, "a secret's value is not written here: say where the worker finds it, {env: NAME} or {file: /PATH}")
			continue
		}
		s := spec.Secret{Name: f.name}
		r.object(f.value, path, r.secretKeys(&s))
		if err := s.Validate(); err != nil && len(r.problems) == before {
			r.refuse(f.at, path, "%v", err)
		}
		list = append(list, s)
	}
	return list
}

// template reads a scalar as a template. A null is refused: it is nearly always a forgotten pair of quotes.
func (r *reader) template(n *node, field string) template {
	r.places[field] = n.at
	if n.shape != scalarShape || n.null() {
		r.refuse(n.at, field, "%s where text is needed; quote a value that begins with {{", n.what())
		return template{}
	}
	parsed, err := parseTemplate(n.text, field)
	if err != nil {
		r.refuse(n.at, field, "%s", err)
		return template{text: n.text}
	}
	return parsed
}

// kinds reads the section of that name.
func (r *reader) kinds(n *node, field string, f *File) {
	if !r.isObject(n, field) {
		return
	}
	for _, entry := range n.fields {
		k := Kind{Name: entry.name, Class: spec.ClassDefault, Grace: GraceDefault}
		path := under(field, entry.name)
		r.places[path] = entry.at
		if entry.name == "" {
			r.refuse(entry.at, path, "a kind has a name")
		}
		r.object(entry.value, path, r.kindKeys(&k))
		if entry.value.shape == objectShape && (entry.value.get("command") == nil || entry.value.get("command").null()) {
			r.refuse(entry.at, path, "a kind has a command")
		}
		f.Kinds = append(f.Kinds, k)
	}
}

// space reads the section of that name, and keeps it as JSON for a proposer that is a command.
func (r *reader) space(n *node, field string, f *File) {
	if !r.isObject(n, field) {
		return
	}
	if len(n.fields) == 0 {
		r.refuse(n.at, field, "a space has at least one dimension")
	}
	for _, entry := range n.fields {
		d := Dimension{Name: entry.name}
		path := under(field, entry.name)
		before := len(r.problems)
		r.object(entry.value, path, r.dimensionKeys(&d))
		if given := len(entry.value.fields); len(r.problems) == before && (given != 1 || d.Scale == "") {
			r.refuse(entry.value.at, path, "a dimension is one of log_float, float, int, choice, like {float: [0, 1]}")
		}
		f.Space = append(f.Space, d)
	}
	f.spaceJSON = r.appendJSON(nil, n, field)
}

// bounds reads the two ends of a dimension of numbers.
func (r *reader) bounds(n *node, field string, d *Dimension, scale Scale) {
	d.Scale = scale
	if n.shape != listShape || len(n.items) != 2 {
		r.refuse(n.at, field, "two bounds are needed, like [1, 8]")
		return
	}
	low, lowOK := r.bound(n.items[0], at(field, 0), scale)
	high, highOK := r.bound(n.items[1], at(field, 1), scale)
	d.Min, d.Max = low, high
	switch {
	case !lowOK || !highOK:
	case low >= high:
		r.refuse(n.at, field, "the first bound, %s, is not below the second, %s", n.items[0].text, n.items[1].text)
	case scale == ScaleLogFloat && low <= 0:
		r.refuse(n.items[0].at, at(field, 0), "%s is not above 0, where logarithms begin", n.items[0].text)
	}
}

// bound reads one end: a finite number, and a whole one for an int.
func (r *reader) bound(n *node, field string, scale Scale) (x float64, ok bool) {
	x, ok = r.float(n, field)
	switch {
	case !ok:
	case math.IsInf(x, 0):
		r.refuse(n.at, field, "%s is no bound; it must be finite", n.what())
	case scale == ScaleInt && !isWhole(n):
		r.refuse(n.at, field, "%s is not a whole number of at most 2^53", n.what())
	default:
		return x, true
	}
	return 0, false
}

// isWhole reports whether a number is whole and small enough for a space.
func isWhole(n *node) bool {
	text, _ := numberText(n.text)
	whole, err := strconv.ParseInt(text, 10, 64)
	return err == nil && n.tag == "!!int" && whole >= -wholeMax && whole <= wholeMax
}

// choices reads the values of a choice: any JSON values, each once.
func (r *reader) choices(n *node, field string, d *Dimension) {
	d.Scale = ScaleChoice
	if n.shape != listShape || len(n.items) == 0 {
		r.refuse(n.at, field, "a choice is a list of at least one value")
		return
	}
	seen := map[uint64]bool{}
	for i, item := range n.items {
		value := r.appendJSON(nil, item, at(field, i))
		if hash := content(value); seen[hash] {
			r.refuse(item.at, at(field, i), "%s is given twice", item.what())
		} else {
			seen[hash] = true
		}
		d.Choices = append(d.Choices, value)
	}
	d.Ordered = sortChoices(d.Choices)
}

// initial reads the section of that name.
func (r *reader) initial(n *node, field string, f *File) {
	if n.shape != listShape {
		r.refuse(n.at, field, "%s where a list of specs is needed", n.what())
		return
	}
	for i, entry := range n.items {
		f.Initial = append(f.Initial, r.initialSpec(entry, at(field, i)))
	}
}

// initialSpec reads one entry. An entry that is no spec at all has no kind.
func (r *reader) initialSpec(n *node, field string) spec.TaskSpec {
	if !r.isObject(n, field) {
		return spec.TaskSpec{}
	}
	s := spec.TaskSpec{Kind: spec.KindDefault, Priority: spec.PriorityDefault}
	r.object(n, field, r.initialKeys(&s))
	if id := n.get("id"); id == nil || id.null() {
		r.refuse(n.at, field, "a spec has an id")
	}
	return s
}

// payload reads an object as JSON text.
func (r *reader) payload(n *node, field string) spec.Payload {
	if !r.isObject(n, field) {
		return nil
	}
	return r.appendJSON(nil, n, field)
}

// proposer reads the section of that name; which keys go together is checked in validate.go.
func (r *reader) proposer(n *node, field string, f *File) {
	f.Proposer = &Proposer{
		Children: ChildrenDefault, Ahead: aheadUnset,
		command: Kind{Name: KindPropose, Class: spec.ClassDefault, Grace: GraceDefault,
			Timeout: ProposeTimeoutDefault, Retries: proposeRetries},
	}
	r.object(n, field, r.proposerKeys(f.Proposer))
}
