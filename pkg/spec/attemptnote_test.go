package spec

import (
	"bytes"
	"testing"
	"time"
)

func TestAttemptNoteSurvivesARoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	for _, note := range []AttemptNote{
		{At: at, What: NoteBoot, Worker: "w", Boot: 3},
		{At: at, What: NoteStarted, Worker: "w", Boot: 3, Run: "r", RunID: "11-22", Task: "naïve \xed\xa0\x80 \"\n", Attempt: 2, Claim: 1<<64 - 1},
		{At: at, What: NoteEnded, Worker: "w", Boot: 3, Run: "r", Task: "t", Attempt: 1, Claim: 5, Outcome: EndFailed},
	} {
		line := note.AppendLine(nil)
		if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Errorf("%q is not one line", line)
		}
		if got, err := DecodeAttemptNote(line); err != nil || got != note {
			t.Errorf("%s became %+v, %v", line, got, err)
		}
	}
}

func TestAttemptNoteIgnoresWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	note, err := DecodeAttemptNote([]byte(`{"what":"resumed","host":{"a":[1]},"task":"t","worker":"w"}`))
	if err != nil || note.What != "resumed" || note.Task != "t" {
		t.Errorf("got %+v, %v", note, err)
	}
	for _, line := range []string{"", "{", `{"task":"t"}`, `{"what":5}`, `{"what":"ended","attempt":-1}`, `{"what":"ended","at":"x"}`} {
		if _, err := DecodeAttemptNote([]byte(line)); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}
