package spec

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

func TestAttemptNotesSurviveARoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	started := AttemptNote{At: at, What: NoteStarted, Worker: "w", Boot: 3, Run: "r", RunID: "11-22", Task: "t", Attempt: 1, Claim: 5}
	odd, later, elsewhere := started, started, started
	odd.Task, odd.Attempt, odd.Claim = "naïve \xed\xa0\x80 \"\n", 2, 1<<64-1
	later.At = at.Add(time.Second)
	elsewhere.RunID = "33-44"
	ended := AttemptNote{At: at, What: NoteEnded, Worker: "w", Boot: 3, Run: "r", Task: "t", Attempt: 1, Claim: 5, Outcome: EndFailed}
	dropped := ended
	dropped.Outcome = EndDropped
	lines := [][]AttemptNote{
		{{At: at, What: NoteBoot, Worker: "w", Boot: 3}}, {started, odd, started}, {later}, {elsewhere}, {ended, dropped}, {started},
	}
	text := AppendNotes(nil, slices.Concat(lines...))
	for i, line := range slices.Collect(bytes.Lines(text)) {
		if got, err := DecodeAttemptNotes(line); err != nil || !slices.Equal(got, lines[i]) {
			t.Errorf("%s became %+v, %v", line, got, err)
		}
	}
	if got := bytes.Count(text, []byte("\n")); got != len(lines) {
		t.Errorf("%d lines: %s", got, text)
	}
}

// Workers have written a line for each attempt.
func TestAttemptNoteOfOneAttemptIsRead(t *testing.T) {
	t.Parallel()
	got, err := DecodeAttemptNotes([]byte(`{"at":"2026-01-02T03:04:05Z","what":"ended","worker":"w","boot":3,"run":"r","task":"t",` +
		`"attempt":2,"claim":18446744073709551615,"outcome":"failed"}`))
	want := AttemptNote{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), What: NoteEnded, Worker: "w", Boot: 3,
		Run: "r", Task: "t", Attempt: 2, Claim: 1<<64 - 1, Outcome: EndFailed,
	}
	if err != nil || !slices.Equal(got, []AttemptNote{want}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAttemptNotesIgnoreWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	notes, err := DecodeAttemptNotes([]byte(`{"what":"resumed","host":{"a":[1]},"attempts":[{"task":"t","gpu":{}}],"worker":"w"}`))
	if err != nil || len(notes) != 1 || notes[0] != (AttemptNote{What: "resumed", Task: "t", Worker: "w"}) {
		t.Errorf("got %+v, %v", notes, err)
	}
	for _, line := range []string{
		"", "{", `{"task":"t"}`, `{"what":5}`, `{"what":"ended","attempt":-1}`, `{"what":"ended","at":"x"}`,
		`{"what":"ended","attempts":{}}`, `{"what":"ended","attempts":[5]}`, `{"what":"ended","attempts":[{"claim":"x"}]}`,
	} {
		if _, err := DecodeAttemptNotes([]byte(line)); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}
