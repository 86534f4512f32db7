package spec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// answer is what Python makes of a text.
type answer struct {
	text string
	ok   bool
}

// askPython puts the texts to testdata/oracle.py. It skips the test where there is no python3.
func askPython(t *testing.T, operation string, texts []string) []answer {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on PATH: the comparison with Python's json needs one")
	}
	var questions bytes.Buffer
	for _, text := range texts {
		fmt.Fprintf(&questions, "%s %x\n", operation, text)
	}
	command := exec.Command(python, "testdata/oracle.py")
	command.Stdin, command.Stderr = &questions, os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("oracle.py: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(texts) {
		t.Fatalf("oracle.py gave %d answers to %d questions", len(lines), len(texts))
	}
	answers := make([]answer, len(lines))
	for i, line := range lines {
		data, ok := strings.CutPrefix(line, "ok")
		text, err := hex.DecodeString(strings.TrimSpace(data))
		answers[i] = answer{string(text), ok && err == nil}
	}
	return answers
}

// dialectTexts returns texts that exercise the grammar: some by hand, and random values with random damage.
func dialectTexts() []string {
	texts := []string{
		`{}`, `[]`, ` [ ] `, `{"a":{},"b":[]}`, `NaN`, `Infinity`, `-Infinity`, `[NaN,-Infinity]`, `-NaN`, `nan`, `inf`,
		`-0`, `-0.0`, `0e5`, `1E+5`, `1e-7`, `1e16`, `1e22`, `123456789012345678901234567890`, `0.1e-400`, `1e999`, `-1e999`,
		`9007199254740993`, `9007199254740993.0`, `5e-324`, `01`, `1.`, `.5`, `+1`, `1e`, `1e+`, `-`, `--1`, `0x1`, `1_0`,
		`"\ud800"`, `"\udc00\ud800"`, `"\ud83d\ude00"`, `"\ud83d\u0041"`, `"\uD83D\uDE00"`, `"\ud83dx\ude00"`, `"\u00e9é"`,
		`"\u12"`, `"\u12g4"`, `"\x41"`, `"\'"`, `"\/"`, `"\b\f\n\r\t\"\\"`, "\"\x7f\"", "\"\x1f\"", "\"\n\"", `"`, `"\`, `"a`,
		`"😀"`, "\"\u2028\"", `{"a":1,"a":2}`, `{"b":1,"a":2,"b":3}`, `{a:1}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`,
		`[1 2]`, `{"a":1 "b":2}`, `{1:2}`, `[1]]`, `[1`, `{`, ``, `  `, `true`, `tru`, `truex`, `null`, `nulll`, "\ufeff[]", "\v[]",
		"\u00a0[]", `{"é":1,"z":2,"\u00e9":3}`, `{"\ud800":1,"\uffff":2,"😀":3}`, `[1.50, 1.0, 1, 100000.0, 1e5]`,
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		text := string(randomValue(random, 3))
		texts = append(texts, text)
		if len(text) > 0 {
			at := random.IntN(len(text))
			const damage = `{}[]",:\0123456789eE+-.truefalsnINy `
			texts = append(texts, strings.ToValidUTF8(text[:at]+string(damage[random.IntN(len(damage))])+text[at+1:], "?"))
		}
	}
	return texts
}

// randomValue returns the text of a value of the dialect.
func randomValue(r *rand.Rand, depth int) []byte {
	switch n := r.IntN(12); {
	case n < 3 && depth > 0:
		out := []byte{'{'}
		for i := range r.IntN(5) {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(randomString(r, out), ": "...)
			out = append(out, randomValue(r, depth-1)...)
		}
		return append(out, '}')
	case n < 5 && depth > 0:
		out := []byte{'['}
		for i := range r.IntN(5) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, randomValue(r, depth-1)...)
		}
		return append(out, "\n]"...)
	case n < 7:
		return randomString(r, nil)
	case n < 8:
		words := []string{"true", "false", "null", "NaN", "Infinity", "-Infinity", "-0", "-0.0"}
		return []byte(words[r.IntN(len(words))])
	case n < 9:
		return strconv.AppendInt(nil, r.Int64()-r.Int64(), 10)
	}
	f := math.Float64frombits(r.Uint64())
	if r.IntN(2) == 0 {
		f = math.Round(f*100) / 100
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = r.Float64()
	}
	return strconv.AppendFloat(nil, f, "efg"[r.IntN(3)], -1, 64)
}

// randomString appends the text of a string to out.
func randomString(r *rand.Rand, out []byte) []byte {
	pieces := []string{"a", "b", "key", " ", "é", "漢", "😀", `\n`, `\"`, `\\`, `\/`, `\u0041`, `\u00e9`, `\ud83d`, `\ude00`, `\u0000`, "\x7f", "\u2028"}
	out = append(out, '"')
	for range r.IntN(5) {
		out = append(out, pieces[r.IntN(len(pieces))]...)
	}
	return append(out, '"')
}

func TestDialectIsPythons(t *testing.T) {
	t.Parallel()
	texts := dialectTexts()
	for i, python := range askPython(t, "rewrite", texts) {
		value, err := DecodeValue([]byte(texts[i]))
		if (err == nil) != python.ok {
			t.Errorf("%q: accepted by Python: %v; here: %v", texts[i], python.ok, err)
			continue
		}
		if err != nil {
			continue
		}
		// Numbers decode to their exact text, so this compares how they are written too.
		want, err := DecodeValue([]byte(python.text))
		if err != nil {
			t.Fatalf("%q: %v", python.text, err)
		}
		meaning := appendCanonical(nil, []byte(texts[i]))
		if got, err := DecodeValue(meaning); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: canonical form %s, %v; Python's rewrite %s", texts[i], meaning, err, python.text)
		}
		encoded, err := EncodeValue(value)
		if err != nil || !bytes.Equal(appendCanonical(nil, encoded), meaning) {
			t.Errorf("%q: decoded and encoded: %s, %v; canonical form %s", texts[i], encoded, err, meaning)
		}
	}
}

func TestIndentIsPythons(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, text := range dialectTexts() {
		value, err := DecodeValue([]byte(text))
		// Python drops repeated keys and prints numbers its own way: that is another test's matter.
		if object, ok := value.(map[string]any); err == nil && ok && !strings.ContainsAny(text, ".eE") {
			encoded, err := EncodeValue(object)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(encoded))
		}
	}
	for i, python := range askPython(t, "indent", texts) {
		fields, err := DecodeFields([]byte(texts[i]))
		if err != nil {
			t.Fatalf("%q: %v", texts[i], err)
		}
		got := strings.ReplaceAll(string(EncodeFields(fields)), "-0\n", "0\n")
		got = strings.ReplaceAll(got, "-0,", "0,")
		if got != python.text {
			t.Errorf("%q:\n%s\nPython:\n%s", texts[i], got, python.text)
		}
	}
}

func TestPriorityIsPythons(t *testing.T) {
	t.Parallel()
	texts := []string{
		`0`, `-0.0`, `-1000`, `1e400`, `-1e400`, `Infinity`, `-Infinity`, `NaN`, `true`, `false`, `null`, `[]`, `{}`, `[1]`,
		`"1.5"`, `" 1.5\n"`, `"1_000"`, `"1__0"`, `"_1"`, `"1_"`, `"1_.5"`, `"1e5"`, `"inf"`, `"-Infinity"`, `"+iNf"`, `"nan"`,
		`"-nan"`, `"0x10"`, `"0x1p-2"`, `""`, `" "`, `"+5"`, `".5"`, `"5."`, `"."`, `"1e"`, `"infinityx"`, `"1e400"`, `"1 2"`, `"infinit"`,
		`1` + strings.Repeat("0", 400), `123456789012345678901234567890`, `9007199254740993`, `"1\u00a0"`, `"\u001c1"`, `"0b1"`, `"1_0e1_0"`, `"1e_5"`,
	}
	for i, python := range askPython(t, "priority", texts) {
		task, err := DecodeTaskSpec([]byte(`{"id":"a","priority":` + texts[i] + `}`))
		if (err == nil) != python.ok {
			t.Errorf("%s: accepted by Python: %v; here: %v", clip(texts[i]), python.ok, err)
			continue
		}
		got := strings.NewReplacer("Infinity", "inf").Replace(string(appendFloat(nil, task.Priority)))
		if err == nil && got != python.text {
			t.Errorf("%s: priority %s, Python's %s", texts[i], got, python.text)
		}
	}
}

func TestTextIsPythons(t *testing.T) {
	t.Parallel()
	texts := []string{
		`5`, `-0`, `1.5`, `1e5`, `1e22`, `true`, `false`, `null`, `NaN`, `-Infinity`, `"text"`, `[]`, `{}`, `[1,"a",null]`,
		`{"a":[true,{"b":"it's"}],"c":"say \"hi\"","d":"both ' and \""}`, `["é\n\t\u0001\u0085\ud800\u2028\\"]`, `["😀"]`, `[1e400]`,
		`123456789012345678901234567890`,
	}
	for i, python := range askPython(t, "text", texts) {
		task, err := DecodeTaskSpec([]byte(`{"id":"a","kind":` + texts[i] + `}`))
		if err != nil || task.Kind != python.text {
			t.Errorf("kind %s: %q, %v; Python's str() %q", texts[i], task.Kind, err, python.text)
		}
	}
}

func TestQuotesArePythons(t *testing.T) {
	t.Parallel()
	var every strings.Builder
	for r := range rune(0x3000) {
		every.WriteRune(r)
	}
	texts := []string{every.String(), "", "😀\U0010ffff\uffff\ue000", "\"\\/\b\f\n\r\t\x00"}
	for i, python := range askPython(t, "quote", texts) {
		if got := string(EncodeText(texts[i])); got != python.text {
			t.Errorf("%q is written %s, by Python %s", clip(texts[i]), clip(got), clip(python.text))
		}
	}
}

// TestPythonReadsOurFiles loads what we wrote with Python's json and compares it with the original's file.
func TestPythonReadsOurFiles(t *testing.T) {
	t.Parallel()
	var theirs, ours []string
	for name, rewrite := range seedRewrites() {
		text := readSeed(t, name)
		rewritten, err := rewrite(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// -1000 was an integer in the file of an original that was given one; a priority is a float here.
		theirs = append(theirs, strings.ReplaceAll(string(text), `"priority": -1000,`, `"priority": -1000.0,`))
		ours = append(ours, string(rewritten))
	}
	want := askPython(t, "rewrite", theirs)
	for i, got := range askPython(t, "rewrite", ours) {
		if !got.ok || got != want[i] {
			t.Errorf("Python reads %s\nfrom our file, %s\nfrom the original's", got.text, want[i].text)
		}
	}
}

// TestStrictIsStrict has the standard library judge the strict form.
func TestStrictIsStrict(t *testing.T) {
	t.Parallel()
	for _, text := range dialectTexts() {
		payload, err := ParsePayload([]byte(`{"v":` + text + `}`))
		if err == nil && !json.Valid(payload.Strict()) {
			t.Errorf("%s: not strict JSON: %s", text, payload.Strict())
		}
	}
}
