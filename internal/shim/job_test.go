package shim

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestJobTravels(t *testing.T) {
	t.Parallel()
	for _, job := range []Job{
		{Path: "/bin/sh", Dir: "/", Argv: []string{"sh"}, Env: []string{}},
		{
			Path: "/a b", Dir: "/d\n", Argv: []string{"", "\xff", " "}, Env: []string{"A=", "B=\n"}, Umask: 0o77,
			Limits: Limits{Memory: 1 << 63, OpenFiles: 3, CPU: time.Hour},
		},
	} {
		encoded, err := job.Encode()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeJob(encoded[lengthDigits:])
		if err != nil || !reflect.DeepEqual(*decoded, job) {
			t.Errorf("%+v became %+v, %v", job, decoded, err)
		}
	}
	if _, err := (&Job{Argv: []string{"a\x00b"}}).Encode(); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a NUL is taken: %v", err)
	}
	for _, body := range []string{"", "\x00", strings.Repeat("\x00", 9), "/x\x00/\x00" + strings.Repeat("1\x00", 9)[:4]} {
		if job, err := decodeJob([]byte(body)); err == nil {
			t.Errorf("%q is read as %+v", body, job)
		}
	}
}

func TestEventTravels(t *testing.T) {
	t.Parallel()
	for _, event := range []Event{
		{Kind: Started, PID: 17},
		{Kind: Failed, Op: "chdir /a  b c", Errno: syscall.ENOENT},
		{Kind: Exited, Code: -1, Signal: syscall.SIGKILL},
		{Kind: Exited, Code: 3},
		{Kind: Gone, Usage: Usage{User: 1, System: 2, MaxRSS: 3, Killed: 4}},
	} {
		line := string(event.line())
		got, ok := ParseEvent(strings.TrimSuffix(line, "\n"))
		if !ok || got != event || strings.Count(line, "\n") != 1 {
			t.Errorf("%+v became %q became %+v", event, line, got)
		}
	}
	if event, ok := ParseEvent("rubbish 1"); ok {
		t.Errorf("rubbish is %+v", event)
	}
}
