package tools

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

type inFailures struct {
	inRun
	Newest int `json:"newest,omitempty" jsonschema:"how many of the newest failed experiments are looked at, 500 by default"`
	Groups int `json:"groups,omitempty" jsonschema:"how many groups at most, 10 by default"`
	Lines  int `json:"lines,omitempty" jsonschema:"how many last lines of each example, 15 by default"`
}

// Triage is what goes wrong in a run, in short.
type Triage struct {
	Failed   int            `json:"failed"`    // in all, without the cancelled
	LookedAt int            `json:"looked_at"` // the newest of them
	Groups   []FailureGroup `json:"groups"`    // the largest first
	LeftOut  int            `json:"groups_left_out,omitempty"`
}

// FailureGroup are failures that likely have one cause.
type FailureGroup struct {
	Count   int               `json:"count"`
	Kind    spec.FailureKind  `json:"kind"`
	Phase   spec.FailurePhase `json:"phase"`
	Cause   string            `json:"cause,omitempty"`
	Example Example           `json:"example"`
	Others  []spec.TaskID     `json:"others,omitempty"` // a few more
}

// Example is the newest failure of a group.
type Example struct {
	Task      spec.TaskID   `json:"task"`
	Attempt   uint32        `json:"attempt"`
	Worker    spec.WorkerID `json:"worker,omitempty"`
	Message   string        `json:"message"`
	LastLines []string      `json:"last_lines,omitempty"`
}

// Bounds of a triage.
const (
	newestDefault = 500
	newestMax     = 5000
	groupsDefault = 10
	linesShort    = 15
	othersMax     = 5
	pageSize      = 500
)

// triage groups the newest failures.
func (a *asked) triage(ctx context.Context, in inFailures) (*Triage, error) {
	run, err := a.Run(ctx, a.run)
	if err != nil {
		return nil, err
	}
	t := &Triage{Groups: []FailureGroup{}}
	if run.Counts != nil {
		t.Failed = run.Counts.Failed
	}
	newest := min(max(1, cmp.Or(in.Newest, newestDefault)), newestMax)
	places := make(map[string]int)
	query := api.TaskQuery{Status: []string{spec.StatusFailed}, Sort: "-seq"}
	for t.LookedAt < newest {
		query.Limit = min(pageSize, newest-t.LookedAt)
		page, err := a.Tasks(ctx, a.run, query)
		if err != nil {
			return nil, err
		}
		for i := range page.Tasks {
			t.add(&page.Tasks[i], places)
		}
		if query.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	slices.SortStableFunc(t.Groups, func(a, b FailureGroup) int { return cmp.Compare(b.Count, a.Count) })
	if groups := bounded(in.Groups, groupsDefault); len(t.Groups) > groups {
		t.LeftOut, t.Groups = len(t.Groups)-groups, t.Groups[:groups]
	}
	for i := range t.Groups {
		t.Groups[i].Example.LastLines = a.lastWords(ctx, &t.Groups[i].Example, bounded(in.Lines, linesShort))
	}
	return t, nil
}

// add counts a failed task in its group; they come newest first.
func (t *Triage) add(task *api.Task, places map[string]int) {
	if task.Failure == nil || task.Cancelled {
		return
	}
	t.LookedAt++
	f := task.Failure
	key := strings.Join([]string{string(f.Kind), string(f.Phase), f.Cause, shape(f.Message)}, "\x00")
	if place, known := places[key]; known {
		g := &t.Groups[place]
		if g.Count++; len(g.Others) < othersMax {
			g.Others = append(g.Others, task.ID)
		}
		return
	}
	places[key] = len(t.Groups)
	t.Groups = append(t.Groups, FailureGroup{
		Count: 1, Kind: f.Kind, Phase: f.Phase, Cause: f.Cause,
		Example: Example{Task: task.ID, Attempt: task.Attempt, Worker: task.Worker, Message: clip(f.Message, messageMax)},
	})
}

// varying is what differs between messages of one cause: numbers, addresses, hashes, quoted names.
var varying = regexp.MustCompile(`"[^"]*"|'[^']*'|\b(0x)?[0-9a-fA-F]*[0-9][0-9a-fA-F]*\b|[0-9]+`)

// shape is a message without what differs between messages of one cause.
func shape(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return varying.ReplaceAllString(clip(line, 300), "#")
}

// messageMax bounds a message, lineMax a line.
const (
	messageMax = 1000
	lineMax    = 400
)

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}

// lastWords are the last lines of a failed attempt: its log, else what the failure kept of standard error.
func (a *asked) lastWords(ctx context.Context, e *Example, lines int) []string {
	if tail, err := a.tail(ctx, e.Task, e.Attempt, lines); err == nil && len(tail.Lines) > 0 {
		return tail.Lines
	}
	d, err := a.Task(ctx, a.run, e.Task)
	if err != nil || d.Record == nil {
		return nil
	}
	text, _ := d.Record.Details["stderr_tail"].(string)
	return lastLines(text, lines)
}

// linesDefault is how many lines of a log are returned where the call does not say.
const linesDefault = 40

// Tail is the end of what an attempt wrote.
type Tail struct {
	Task    spec.TaskID `json:"task"`
	Attempt uint32      `json:"attempt"`
	Lines   []string    `json:"lines"`
	// Ended says that nothing follows; Partial that the log goes on beyond what was read.
	Ended   bool `json:"ended"`
	Partial bool `json:"partial,omitempty"`
}

// tailPages bounds how many pages of a log are read to reach its end, tailBytes how much of it is kept on the way.
const (
	tailPages = 200
	tailBytes = 256 << 10
)

// tail reads a log to its end and returns the last lines, of both streams as they came.
func (a *asked) tail(ctx context.Context, id spec.TaskID, attempt uint32, lines int) (Tail, error) {
	q, text := api.LogQuery{Attempt: attempt}, ""
	for range tailPages {
		page, err := a.Logs(ctx, a.run, id, q)
		if err != nil {
			return Tail{}, err
		}
		for _, c := range page.Chunks {
			for _, p := range c.Pieces {
				text += p.Text
			}
		}
		text = text[max(0, len(text)-tailBytes):]
		q.Attempt, q.After = page.Attempt, page.Next
		if !page.More {
			return Tail{Task: id, Attempt: page.Attempt, Lines: lastLines(text, lines), Ended: page.Ended}, nil
		}
	}
	return Tail{Task: id, Attempt: q.Attempt, Lines: lastLines(text, lines), Partial: true}, nil
}

func lastLines(text string, n int) []string {
	text = strings.TrimRight(strings.ToValidUTF8(text, "?"), "\n")
	if text == "" {
		return []string{}
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	for i := range lines {
		lines[i] = clip(lines[i], lineMax)
	}
	return lines
}
