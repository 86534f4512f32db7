package coordinator

import (
	"context"
	"errors"
	"testing"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
)

// scripted is a journal in memory whose next appends end as a script says.
type scripted struct {
	records [][]byte
	script  []outcome
	gone    bool
}

// outcome is how one append ends.
type outcome struct {
	store bool   // the record is stored, unless its expected sequence is wrong
	err   error  // what the caller sees; nil means the truth
	other []byte // another writer's record arrives first
}

func (j *scripted) Ensure(context.Context) (bool, error) { return false, nil }

func (j *scripted) Bounds(context.Context) (bus.Bounds, error) {
	if j.gone {
		return bus.Bounds{}, bus.ErrMissing
	}
	return bus.Bounds{First: 1, Last: uint64(len(j.records))}, nil
}

func (j *scripted) Append(_ context.Context, expect uint64, data []byte) error {
	next := outcome{store: true}
	if len(j.script) > 0 {
		next, j.script = j.script[0], j.script[1:]
	}
	if next.other != nil {
		j.records = append(j.records, next.other)
	}
	fits := expect == uint64(len(j.records))
	if next.store && fits {
		j.records = append(j.records, data)
	}
	switch {
	case next.err != nil:
		return next.err
	case !fits:
		return bus.ErrConflict
	}
	return nil
}

func (j *scripted) Get(_ context.Context, seq uint64) ([]byte, error) {
	if seq < 1 || seq > uint64(len(j.records)) {
		return nil, bus.ErrMissing
	}
	return j.records[seq-1], nil
}

func (j *scripted) Read(context.Context, uint64, func(uint64, []byte) error) error { return nil }
func (j *scripted) Purge(context.Context, uint64) error                            { return nil }

func TestAppendEndings(t *testing.T) {
	t.Parallel()
	lost := outcome{err: bus.ErrAmbiguous}                   // never stored
	unheard := outcome{store: true, err: bus.ErrAmbiguous}   // stored, the acknowledgement lost
	overtaken := outcome{store: true, other: []byte("them")} // another's record came first
	for name, test := range map[string]struct {
		script []outcome
		gone   bool
		want   error
		stored int // how often our record is there in the end
	}{
		"stored":                         {stored: 1},
		"lost, then stored":              {script: []outcome{lost}, stored: 1},
		"stored but unheard":             {script: []outcome{unheard}, stored: 1},
		"unheard twice":                  {script: []outcome{unheard, {err: bus.ErrAmbiguous}}, stored: 1},
		"overtaken":                      {script: []outcome{overtaken}, want: errDeposed},
		"lost, then overtaken":           {script: []outcome{lost, overtaken}, want: errDeposed},
		"unheard, then another's follow": {script: []outcome{unheard, {other: []byte("them"), err: bus.ErrAmbiguous}}, stored: 1},
		"refused, then stored":           {script: []outcome{{err: bus.ErrRefused}}, stored: 1},
		"gone":                           {script: []outcome{{err: bus.ErrMissing}}, want: &journalAlarm{}},
		"no answer, and gone":            {script: []outcome{lost}, gone: true, want: &journalAlarm{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &scripted{records: [][]byte{[]byte("before")}, script: test.script, gone: test.gone}
			c := committer{journal: j, run: "r", last: 1, trouble: func(error) {}, host: host.Machine{}}
			err := c.append(t.Context(), [][]byte{[]byte("ours")})
			if alarm := (*journalAlarm)(nil); errors.As(test.want, &alarm) {
				if !errors.As(err, &alarm) {
					t.Fatalf("append: %v, want an alarm", err)
				}
			} else if !errors.Is(err, test.want) {
				t.Fatalf("append: %v, want %v", err, test.want)
			}
			found := 0
			for _, r := range j.records {
				if string(r) == "ours" {
					found++
				}
			}
			if found != test.stored {
				t.Errorf("our record is there %d times, want %d", found, test.stored)
			}
			if err == nil && c.last != 2 {
				t.Errorf("last is %d, want 2", c.last)
			}
		})
	}
}

// TestAppendAfterTheJournalWentBack tells a restored or truncated journal from a new leader.
func TestAppendAfterTheJournalWentBack(t *testing.T) {
	t.Parallel()
	c := committer{journal: &scripted{records: [][]byte{[]byte("a")}}, run: "r", last: 7, trouble: func(error) {}, host: host.Machine{}}
	var alarm *journalAlarm
	if err := c.append(t.Context(), [][]byte{[]byte("ours")}); !errors.As(err, &alarm) {
		t.Fatalf("append: %v, want an alarm", err)
	}
}

func TestAppendGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	refusals := 0
	c := committer{journal: &refusing{}, run: "r", host: host.Machine{}, trouble: func(error) {
		if refusals++; refusals == 2 {
			cancel()
		}
	}}
	if err := c.append(ctx, [][]byte{[]byte("ours")}); !errors.Is(err, context.Canceled) {
		t.Fatalf("append: %v, want the context's error", err)
	}
}

// refusing is a journal whose disk is full.
type refusing struct{ scripted }

func (*refusing) Append(context.Context, uint64, []byte) error { return bus.ErrRefused }
