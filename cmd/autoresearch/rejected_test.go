package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// rejecting returns a server on whose run three results were rejected, and a workdir that has the same.
func rejecting(t *testing.T) (url, workdir string) {
	t.Helper()
	workdir = t.TempDir()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store := filepath.Join(workdir, snapshot.EngineDir, "nats")
	for _, dir := range []string{t.TempDir(), store} {
		server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, Port: -1, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := server.Connect(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		reject(t, conn)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if dir == store {
			err = server.Shutdown()
		} else {
			url = server.ClientURL()
			t.Cleanup(func() { _ = server.Shutdown() }) // the test has ended
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := snapshot.WriteRun(workdir, snapshot.RunRecord{RunID: "id", Run: "demo", JournalSeq: 1, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	return url, workdir
}

func reject(t *testing.T, conn *bus.Conn) {
	t.Helper()
	result, err := bus.EncodeResult(spec.TaskResult{
		Worker: "w1", Metrics: map[string]float64{"loss": 1}, Children: []spec.TaskSpec{{ID: "child\x1b[31m"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	message, err := bus.EncodeResultMessage(&bus.ResultMessage{
		Worker: "w1", Reports: []bus.Report{{AttemptRef: bus.AttemptRef{Run: "other", Task: "t", Attempt: 1, Claim: 255}, Body: result}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rejects := bus.NewRejects(conn, "demo", bus.StreamOptions{})
	for i, data := range [][]byte{[]byte("\x1b]0;evil\x07\xc1"), result, message} {
		err := rejects.Put(t.Context(), &bus.Rejected{
			Rule: []spec.Rule{spec.RuleMalformed, spec.RuleTooManyChildren, spec.RuleAnotherRun}[i], Reason: "why\x1b[2J\u202e",
			At: 1767323045000000000, Worker: "w\u009b1", AttemptRef: bus.AttemptRef{Run: "demo", Task: "t\n", Attempt: 2, Claim: 255},
			Data: data, Size: int64(len(data)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRejected(t *testing.T) {
	t.Parallel()
	url, workdir := rejecting(t)
	for name, where := range map[string][]string{"server": {"--nats", url, "--run", "demo"}, "workdir": {workdir}} {
		t.Run(name, func(t *testing.T) {
			list := runs(t, append([]string{"rejected", "list"}, where...)...)
			for _, want := range []string{"malformed", "too_many_children", "another_run", `why\x1b[2J\u202e`, `w\u009b1`} {
				if !strings.Contains(list, want) {
					t.Errorf("the list lacks %q:\n%s", want, list)
				}
			}
			if filtered := runs(t, append([]string{"rejected", "list", "--rule", "malformed"}, where...)...); strings.Contains(filtered, "another_run") {
				t.Errorf("filtered:\n%s", filtered)
			}
			shows(t, where, 1, `1b 5d 30 3b 65 76 69 6c`, "neither")
			shows(t, where, 2, "a result of worker w1", "loss 1", `child\x1b[31m`)
			shows(t, where, 3, "a result message of worker w1", "run other, task t, attempt 1, claim ff: success")
		})
	}
	var all []rejectionJSON
	if err := json.Unmarshal([]byte(runs(t, "rejected", "list", workdir, "-o", "json")), &all); err != nil || len(all) != 3 || all[2].Task != "t\n" {
		t.Errorf("%+v, error %v", all, err)
	}
	var one rejectionJSON
	if err := json.Unmarshal([]byte(runs(t, "rejected", "show", workdir, "1", "-o", "json")), &one); err != nil || len(one.Data) != 10 {
		t.Errorf("%+v, error %v", one, err)
	}
}

// runs runs a command that must succeed, and whose output a terminal must survive.
func runs(t *testing.T, args ...string) string {
	t.Helper()
	var b bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, b.String())
	}
	for _, r := range b.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%v writes %q", args, r)
		}
	}
	return b.String()
}

func shows(t *testing.T, where []string, number int, wants ...string) {
	t.Helper()
	text := runs(t, append(append([]string{"rejected", "show"}, where...), fmt.Sprint(number))...)
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("show %d lacks %q:\n%s", number, want, text)
		}
	}
}

func TestRejectedErrors(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	served := t.TempDir()
	if err := os.MkdirAll(filepath.Join(served, snapshot.EngineDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.WriteRun(served, snapshot.RunRecord{RunID: "id", Run: "far", JournalSeq: 1, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		says string
		args []string
	}{
		{"name a workdir", []string{"list"}},
		{"needs --run", []string{"list", "--nats", "nats://127.0.0.1:1"}},
		{"not both", []string{"list", empty, "--nats", "nats://127.0.0.1:1"}},
		{"no run was led there", []string{"list", empty}},
		{"--nats URL --run NAME", []string{"list", served}},
		{"no number", []string{"show", empty, "x"}},
		{"text or json", []string{"list", empty, "-o", "yaml"}},
	} {
		cmd := root()
		cmd.SetArgs(append([]string{"rejected"}, row.args...))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%v: %v", row.args, err)
		}
	}
}
