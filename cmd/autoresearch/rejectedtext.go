package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// What was rejected came from anywhere: nothing of it reaches the terminal but as text that is harmless there.

// harmless returns the beginning of a text, of at most about limit letters, with everything that is no printable character
// written as an escape.
func harmless(text string, limit int) string {
	var b strings.Builder
	letters := 0
	for _, r := range text {
		if letters++; letters > limit {
			return b.String() + "..."
		}
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// dumpMax is how many bytes of what cannot be decoded are shown.
const dumpMax = 4 << 10

func writeRejection(out io.Writer, number uint64, r *bus.Rejected) error {
	j := jsonOf(number, r)
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-8s %s\n", name, value)
		}
	}
	line("number", strconv.FormatUint(number, 10))
	line("at", j.At)
	line("rule", harmless(j.Rule, 100))
	line("reason", harmless(j.Reason, 4000))
	line("worker", harmless(j.Worker, 200))
	line("run", harmless(j.Run, 200))
	line("task", harmless(j.Task, 200))
	if r.Attempt > 0 || r.Claim > 0 {
		line("attempt", fmt.Sprintf("%d, claim %s", r.Attempt, j.Claim))
	}
	line("child", harmless(j.Child, 200))
	line("blob", j.Blob)
	line("bytes", fmt.Sprintf("%d, of which %d are kept", r.Size, len(r.Data)))
	if len(r.Data) > 0 {
		fmt.Fprintln(&b)
		writeData(&b, r.Data)
	}
	_, err := out.Write(b.Bytes())
	return err
}

// writeData shows what arrived: a result message, a result, or bytes.
func writeData(b *bytes.Buffer, data []byte) {
	if m, err := bus.DecodeResultMessage(data); err == nil && len(m.Reports) > 0 {
		fmt.Fprintf(b, "a result message of worker %s, boot %d:\n", harmless(string(m.Worker), 100), m.Boot)
		for i := range m.Reports[:min(len(m.Reports), listedMax)] {
			r := &m.Reports[i]
			fmt.Fprintf(b, "  run %s, task %s, attempt %d, claim %x: %s, a result of %d bytes\n", harmless(string(r.Run), 100),
				harmless(string(r.Task), 100), r.Attempt, uint64(r.Claim), outcomeWord(r.Failure), max(int64(len(r.Body)), r.Stored.Size))
		}
		writeMore(b, len(m.Reports))
		return
	}
	if _, err := bus.CheckResult(data, childrenMax); err == nil {
		if result, err := bus.DecodeResult(data); err == nil {
			writeResult(b, &result)
			return
		}
	}
	fmt.Fprintln(b, "neither a result message nor a result that can be read:")
	b.WriteString(hex.Dump(data[:min(len(data), dumpMax)]))
	if len(data) > dumpMax {
		fmt.Fprintf(b, "... and %d more bytes; -o json has them\n", len(data)-dumpMax)
	}
}

// listedMax is how many of anything are listed, childrenMax how many children are decoded for it.
const (
	listedMax   = 20
	childrenMax = 100_000
)

func writeMore(b *bytes.Buffer, n int) {
	if n > listedMax {
		fmt.Fprintf(b, "  ... and %d more\n", n-listedMax)
	}
}

func outcomeWord(f *spec.FailureRecord) string {
	if f == nil {
		return "success"
	}
	return "failure " + harmless(string(f.Kind), 100)
}

func writeResult(b *bytes.Buffer, r *spec.TaskResult) {
	fmt.Fprintf(b, "a result of worker %s on %s: %s\n", harmless(string(r.Worker), 100), harmless(r.Host, 100), outcomeWord(r.Failure))
	if r.Failure != nil {
		fmt.Fprintf(b, "  %s\n", harmless(r.Failure.Message, 1000))
	}
	fmt.Fprintf(b, "%d metrics\n", len(r.Metrics))
	names := slices.Sorted(maps.Keys(r.Metrics))
	for _, name := range names[:min(len(names), listedMax)] {
		fmt.Fprintf(b, "  %s %v\n", harmless(name, 100), r.Metrics[name])
	}
	writeMore(b, len(names))
	fmt.Fprintf(b, "%d children\n", len(r.Children))
	for i := range r.Children[:min(len(r.Children), listedMax)] {
		fmt.Fprintf(b, "  %s, a payload of %d bytes\n", harmless(string(r.Children[i].ID), 100), len(r.Children[i].Payload))
	}
	writeMore(b, len(r.Children))
	if len(r.Output) > 0 {
		fmt.Fprintf(b, "output of %d bytes\n", len(r.Output))
	}
}

// writeJSON writes a value, indented, in ASCII where a terminal could take it for more than text.
func writeJSON(out io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range string(text) {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r) // only in strings: json escapes the others
		}
	}
	_, err = fmt.Fprintln(out, b.String())
	return err
}
