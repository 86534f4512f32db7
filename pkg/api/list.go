package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

func (c *call) listTasks() error {
	values, err := c.query("status", "kind", "class", "parent", "text", "sort", "limit", "cursor")
	if err != nil {
		return err
	}
	f, err := newFilter(c.view, values)
	if err != nil {
		return err
	}
	most, err := limit(values, pageDefault, pageMax)
	if err != nil {
		return err
	}
	o, err := newOrder(c.view, values.Get("sort"), values.Get("cursor"))
	if err != nil {
		return err
	}
	rows, next := o.page(c.view, f, most)
	list := TaskList{Tasks: make([]Task, 0, len(rows)), Next: next}
	for _, row := range rows {
		list.Tasks = append(list.Tasks, taskOf(c.view, row))
	}
	return c.answer(list)
}

// filter says which tasks are wanted.
type filter struct {
	view    *coordinator.View
	status  map[string]bool
	kinds   []string
	classes []string
	parent  spec.TaskID
	text    []byte // in lower case
}

// The words that status takes: the states, and these.
const (
	statusCancelled = "cancelled" // failed, because a person wanted it; failed is without them
	statusLive      = "live"      // not finished
	statusDelayed   = "delayed"   // queued, waiting for a retry
)

var statusWords = []string{
	"queued", statusDelayed, "dispatched", "running", "reported", "completed", "failed", statusCancelled, statusLive,
}

func newFilter(view *coordinator.View, values url.Values) (*filter, error) {
	f := &filter{
		view: view, kinds: words(values["kind"]), classes: words(values["class"]), parent: spec.TaskID(values.Get("parent")),
		text: []byte(strings.ToLower(values.Get("text"))),
	}
	for _, word := range words(values["status"]) {
		if !slices.Contains(statusWords, word) {
			return nil, problem(CodeInvalid, "parameter status: %q is none of %s", word, strings.Join(statusWords, ", "))
		}
		if f.status == nil {
			f.status = make(map[string]bool)
		}
		f.status[word] = true
	}
	return f, nil
}

// words splits values that may be repeated or separated by commas.
func words(values []string) (list []string) {
	for _, v := range values {
		for word := range strings.SplitSeq(v, ",") {
			if word != "" {
				list = append(list, word)
			}
		}
	}
	return list
}

// which returns what must be looked at for tasks that pass.
func (f *filter) which() coordinator.Which {
	if f.status == nil || f.status["completed"] || f.status["failed"] || f.status[statusCancelled] {
		return coordinator.All
	}
	return coordinator.Live
}

// wants reports whether a task passes: what is cheap to look at first.
func (f *filter) wants(t *spec.Task) bool {
	switch {
	case f.status != nil && !f.status[statusOf(t)] && (!f.status[statusLive] || t.State.Terminal()) &&
		(!f.status[statusDelayed] || t.State != spec.StateQueued || t.NotBefore <= f.view.Now()):
		return false
	case f.parent != "" && t.Parent != f.parent:
		return false
	case f.kinds != nil && !slices.Contains(f.kinds, t.Spec.Kind):
		return false
	case f.classes != nil && !slices.Contains(f.classes, f.view.Class(t.Spec.Kind)):
		return false
	}
	return len(f.text) == 0 || f.contains(t)
}

// statusOf is a task's state, where a failure that a person wanted is one of its own.
func statusOf(t *spec.Task) string {
	if t.State == spec.StateFailed && t.Cancelled && t.Outcome.Failure.Cause() == spec.CauseCancelled {
		return statusCancelled
	}
	return t.State.String()
}

// contains looks for the text in id, payload and failure.
func (f *filter) contains(t *spec.Task) bool {
	if containsFold([]byte(t.Spec.ID), f.text) || containsFold(t.Spec.Payload, f.text) {
		return true
	}
	return t.Outcome != nil && t.Outcome.Failure != nil && containsFold([]byte(t.Outcome.Failure.Message), f.text)
}

func containsFold(text, lower []byte) bool {
	return bytes.Contains(text, lower) || bytes.Contains(bytes.ToLower(text), lower)
}

// order sorts a list, and remembers where its last page ended.
type order struct {
	name string
	key  func(coordinator.Row) float64 // NaN sorts last
	down bool
	// after is the last row of the page before; place its key and arrival number.
	after bool
	place rank
}

// rank is where a row stands in an order. Equal keys go by arrival.
type rank struct {
	key float64
	seq uint64
}

// orders are the words that sort takes; all but queue may begin with "-" for the other direction.
var orders = map[string]func(*spec.Task, float64) float64{
	"seq":      func(*spec.Task, float64) float64 { return 0 },
	"queue":    func(t *spec.Task, _ float64) float64 { return t.Priority },
	"priority": func(t *spec.Task, _ float64) float64 { return t.Priority },
	"value":    func(_ *spec.Task, score float64) float64 { return score },
	"attempt":  func(t *spec.Task, _ float64) float64 { return float64(t.Attempt) },
	"submitted": func(t *spec.Task, _ float64) float64 {
		return wallKey(t.Submitted)
	},
	"started": func(t *spec.Task, _ float64) float64 { return wallKey(t.Started) },
	"ended":   func(t *spec.Task, _ float64) float64 { return wallKey(t.Ended) },
	"duration": func(t *spec.Task, _ float64) float64 {
		if t.Started == 0 || t.Ended == 0 {
			return math.NaN()
		}
		return float64(t.Ended - t.Started)
	},
}

func wallKey(w spec.WallTime) float64 {
	if w == 0 {
		return math.NaN()
	}
	return float64(w)
}

// newOrder reads sort and cursor. "best" is the value in the objective's direction.
func newOrder(view *coordinator.View, name, cursor string) (*order, error) {
	name = cmp.Or(name, "seq")
	word, down := strings.CutPrefix(name, "-")
	if word == "best" {
		word, down = "value", down != view.Objective().Maximize
	}
	key, known := orders[word]
	if !known || word == "queue" && down {
		return nil, problem(CodeInvalid, "parameter sort: %q is none of seq, queue, priority, best, value, attempt, submitted, "+
			"started, ended, duration, or one of them after -", name)
	}
	o := &order{name: name, down: down, key: func(r coordinator.Row) float64 { return key(r.Task, r.Score) }}
	if cursor != "" {
		if err := o.resume(cursor); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// A cursor is the order's name and the rank of the last row, in base64url.
func (o *order) cursor(last coordinator.Row) string {
	r := o.rank(last)
	text := fmt.Sprintf("%s %x %d", o.name, math.Float64bits(r.key), r.seq)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func (o *order) resume(cursor string) error {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	var name string
	var bits, seq uint64
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%s %x %d", &name, &bits, &seq)
	}
	if err != nil || name != o.name {
		return problem(CodeInvalid, "parameter cursor: it is not of a list with this sort")
	}
	o.after, o.place = true, rank{math.Float64frombits(bits), seq}
	return nil
}

func (o *order) rank(r coordinator.Row) rank { return rank{o.key(r), r.Task.Seq} }

// less reports whether a stands before b.
func (o *order) less(a, b rank) bool {
	aLast, bLast := math.IsNaN(a.key), math.IsNaN(b.key)
	if aLast != bLast {
		return bLast
	}
	if o.down {
		a, b = b, a
	}
	if !aLast && a.key != b.key {
		return a.key < b.key
	}
	return a.seq < b.seq
}

// page returns the rows of the next page, and the cursor of the one after it.
func (o *order) page(view *coordinator.View, f *filter, most int) (rows []coordinator.Row, next string) {
	if o.name == "seq" || o.name == "-seq" {
		rows = o.straight(view, f, most+1)
	} else {
		rows = o.first(view, f, most+1)
	}
	if len(rows) > most {
		rows = rows[:most]
		next = o.cursor(rows[most-1])
	}
	return rows, next
}

// straight lists in order of arrival, and looks at no more than it must.
func (o *order) straight(view *coordinator.View, f *filter, most int) (rows []coordinator.Row) {
	from := 0
	switch {
	case o.down && o.after:
		from = view.PlaceOf(o.place.seq) - 1
	case o.down:
		from = view.Size() - 1
	case o.after:
		from = view.PlaceOf(o.place.seq + 1)
	}
	scan := view.Scan
	if o.down {
		scan = view.ScanBack
	}
	for _, row := range scan(from, f.which()) {
		if !f.wants(row.Task) {
			continue
		}
		if rows = append(rows, row); len(rows) == most {
			break
		}
	}
	return rows
}

// ranked is a row with its rank, so that sorting looks at no task.
type ranked struct {
	rank
	row coordinator.Row
}

// first returns the first rows of those that pass, in order. It keeps at most twice as many as it was asked for: when they
// are full it sorts them, drops the second half, and from then on passes over what would stand behind.
func (o *order) first(view *coordinator.View, f *filter, most int) []coordinator.Row {
	kept := make([]ranked, 0, 2*most)
	full := false
	settle := func() {
		slices.SortFunc(kept, func(a, b ranked) int {
			if o.less(a.rank, b.rank) {
				return -1
			}
			return 1
		})
		if len(kept) >= most {
			kept, full = kept[:most], true
		}
	}
	for _, row := range view.Scan(0, f.which()) {
		if !f.wants(row.Task) {
			continue
		}
		at := o.rank(row)
		if o.after && !o.less(o.place, at) || full && !o.less(at, kept[most-1].rank) {
			continue
		}
		if kept = append(kept, ranked{at, row}); len(kept) == cap(kept) {
			settle()
		}
	}
	settle()
	rows := make([]coordinator.Row, len(kept))
	for i := range kept {
		rows[i] = kept[i].row
	}
	return rows
}
