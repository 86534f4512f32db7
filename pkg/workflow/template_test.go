package workflow

import (
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	task := spec.TaskSpec{ID: "a/b", Kind: "experiment", Payload: spec.Payload(
		`{"lr":0.10,"big":123456789012345678901234567890,"nan":NaN,"zero":-0.0,"text":"a \"b\" \u00fc {{x}}","none":null,` +
			`"yes":true,"list":[1,2.50,null],"deep":{"a":{"b":1e-07}},"kebab-key":1}`)}
	values, err := templateValues(task)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ text, want string }{
		{"plain }} text", "plain }} text"},
		{"", ""},
		{"{{.id}} {{.kind}}", "a/b experiment"},
		{"--lr={{.payload.lr}}", "--lr=0.10"},
		{"{{.payload.big}} {{.payload.nan}} {{.payload.zero}}", "123456789012345678901234567890 NaN -0.0"},
		{"{{.payload.text}}", `a "b" ü {{x}}`},
		{"{{.payload.none}} {{if .payload.none}}a{{else}}b{{end}}", "null b"},
		{"{{.payload.yes}} {{if .payload.yes}}a{{end}}", "true a"},
		{"{{.payload.deep.a.b}}", "1e-07"},
		{`{{index .payload "kebab-key"}}`, "1"},
		{"{{json .payload.list}} {{json .payload.deep}} {{json .payload.text}}", `[1,2.50,null] {"a":{"b":1e-07}} "a \"b\" \u00fc {{x}}"`},
		{`{{join "," .payload.list}}`, "1,2.50,null"},
		{"{{range $i, $x := .payload.list}}{{$i}}={{$x}};{{end}}", "0=1;1=2.50;2=null;"},
		{`{{printf "%.3f" (num .payload.lr)}} {{if gt (num .payload.lr) 0.05}}high{{end}}`, "0.100 high"},
	}
	for _, c := range cases {
		parsed, err := parseTemplate(c.text, "x")
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got, err := parsed.render(values); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	values, err := templateValues(spec.TaskSpec{ID: "a", Payload: spec.Payload(`{"s":"x","nul":"\u0000"}`)})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ text, want string }{
		{"{{.payload.lr}}", `{{.payload.lr}}: .payload.lr: there is no key "lr"`},
		{"{{.payload.s.deeper}}", "at <.payload.s.deeper>: can't evaluate field deeper"},
		{"{{num .payload.s}}", `error calling num`},
		{`{{join "," .payload.s}}`, "join takes a list, not x"},
		{"{{.payload.nul}}", "NUL"},
		{`{{printf "%131072d" 1}}`, "renders to more than 131071 bytes"},
	}
	for _, c := range cases {
		parsed, err := parseTemplate(c.text, "x")
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if _, err := parsed.render(values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
	if _, err := templateValues(spec.TaskSpec{ID: "a", Payload: spec.Payload(`{`)}); err == nil {
		t.Error("a broken payload has values")
	}
}
