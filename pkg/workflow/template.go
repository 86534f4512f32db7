package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"autoresearch/pkg/spec"
)

// The arguments of a command and the values of its environment are templates of text/template over id, kind and
// payload: "--lr={{.payload.lr}}". A number prints as it is written in the payload, null as null. A payload without the
// key is an error, not an empty text. Three functions come on top of the usual ones:
//
//	json v       v as JSON text: for lists and objects, which have no other readable form
//	join sep v   the entries of the list v with sep between them
//	num v        a number to calculate with, in {{if gt (num .payload.lr) 0.1}} or {{printf "%.3f" (num .payload.lr)}}
//
// Templates run on the engine's loop, so what could run long is refused when they are read: definitions, and ranges
// over anything but a field.

// template is one parsed template; it may be executed concurrently. The zero value renders as "".
type template struct {
	text   string
	parsed *texttemplate.Template // nil: the text has no actions
}

// renderedMax bounds a rendered argument or variable, in bytes; Linux takes no longer ones.
const renderedMax = 128<<10 - 1

var functions = texttemplate.FuncMap{"json": jsonText, "join": joinList, "num": number}

// parseTemplate reads a template. Its errors are one line and leave the name out.
func parseTemplate(text, name string) (template, error) {
	if !strings.Contains(text, "{{") {
		return template{text: text}, nil
	}
	if len(text) > renderedMax {
		return template{}, fmt.Errorf("bad template: it has %d bytes; the most are %d", len(text), renderedMax)
	}
	parsed, err := texttemplate.New(name).Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return template{}, fmt.Errorf("bad template: %s", strings.TrimPrefix(err.Error(), "template: "+name+":"))
	}
	if len(parsed.Templates()) > 1 {
		return template{}, errors.New("bad template: no definitions here")
	}
	if err := allowed(parsed.Root); err != nil {
		return template{}, fmt.Errorf("bad template: %w", err)
	}
	return template{text: text, parsed: parsed}, nil
}

// allowed walks the tree of a template and refuses what could run long.
func allowed(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, child := range n.Nodes {
			if err := allowed(child); err != nil {
				return err
			}
		}
	case *parse.TemplateNode:
		return errors.New("no calls of other templates here")
	case *parse.IfNode:
		return errors.Join(allowed(n.List), allowed(n.ElseList))
	case *parse.WithNode:
		return errors.Join(allowed(n.List), allowed(n.ElseList))
	case *parse.RangeNode:
		if !overField(n.Pipe) {
			return errors.New("range goes over a field like .payload.layers only")
		}
		return errors.Join(allowed(n.List), allowed(n.ElseList))
	}
	return nil
}

// overField reports whether a pipe is a field and nothing else.
func overField(pipe *parse.PipeNode) bool {
	if len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	_, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	return ok
}

// render executes the template over the values of a task.
func (t template) render(values map[string]any) (string, error) {
	if t.parsed == nil {
		return t.text, nil
	}
	var out boundedText
	if err := t.parsed.Execute(&out, values); err != nil {
		return "", fmt.Errorf("%s: %s", shortened(t.text), executionError(err))
	}
	if strings.IndexByte(out.String(), 0) >= 0 {
		return "", fmt.Errorf("%s: renders to text with a NUL byte", shortened(t.text))
	}
	return out.String(), nil
}

// boundedText collects a rendered text up to the bound.
type boundedText struct{ strings.Builder }

var errTooLong = fmt.Errorf("renders to more than %d bytes", renderedMax)

func (b *boundedText) Write(p []byte) (int, error) {
	if b.Len()+len(p) > renderedMax {
		return 0, errTooLong
	}
	return b.Builder.Write(p)
}

var missingKey = regexp.MustCompile(`at <(.*)>: map has no entry for key (".*")$`)

// executionError shortens what text/template says to what a person needs.
func executionError(err error) string {
	if errors.Is(err, errTooLong) {
		return errTooLong.Error()
	}
	text := err.Error()
	if found := missingKey.FindStringSubmatch(text); found != nil {
		return fmt.Sprintf("%s: there is no key %s", found[1], found[2])
	}
	if i := strings.Index(text, " at <"); i >= 0 {
		return text[i+1:]
	}
	return text
}

// templateValues returns what the templates of a task see.
func templateValues(task spec.TaskSpec) (map[string]any, error) {
	payload, err := task.Payload.Decode()
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": string(task.ID), "kind": task.Kind, "payload": nullsNamed(payload)}, nil
}

// nullText is what a null is to a template: false, and printed as null.
type nullText struct{}

func (*nullText) String() string { return "null" }

// nullsNamed replaces the nulls in a decoded value, which it owns.
func nullsNamed(value any) any {
	switch value := value.(type) {
	case nil:
		return (*nullText)(nil)
	case map[string]any:
		for key, entry := range value {
			value[key] = nullsNamed(entry)
		}
	case []any:
		for i, entry := range value {
			value[i] = nullsNamed(entry)
		}
	}
	return value
}

// jsonText is the template function json.
func jsonText(value any) (string, error) {
	text, err := spec.EncodeValue(value)
	return string(text), err
}

// joinList is the template function join.
func joinList(separator string, value any) (string, error) {
	list, ok := value.([]any)
	if !ok {
		return "", fmt.Errorf("join takes a list, not %v", value)
	}
	parts := make([]string, len(list))
	for i, entry := range list {
		parts[i] = fmt.Sprint(entry)
	}
	return strings.Join(parts, separator), nil
}

// number is the template function num.
func number(value any) (float64, error) {
	return strconv.ParseFloat(fmt.Sprint(value), 64)
}
