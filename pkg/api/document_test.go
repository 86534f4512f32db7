package api

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// openapi is what the tests need of the document.
type openapi struct {
	OpenAPI string
	Paths   map[string]map[string]json.RawMessage
	parts   struct {
		Responses     map[string]response
		RequestBodies map[string]content
		Schemas       map[string]json.RawMessage
	}
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema json.RawMessage }
}

type content struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema json.RawMessage }
}

type operation struct {
	Summary     string
	RequestBody *content
	Responses   map[string]response
}

var document = sync.OnceValue(func() *openapi {
	text, err := Document()
	if err != nil {
		panic(err)
	}
	var raw struct {
		openapi
		Components json.RawMessage
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		panic(err)
	}
	if err := json.Unmarshal(raw.Components, &raw.parts); err != nil {
		panic(err)
	}
	return &raw.openapi
})

func (d *openapi) operation(t testing.TB, path, method string) *operation {
	t.Helper()
	raw, ok := d.Paths[path][strings.ToLower(method)]
	if !ok {
		t.Fatalf("the document has no %s %s", method, path)
	}
	op := &operation{}
	if err := json.Unmarshal(raw, op); err != nil {
		t.Fatal(err)
	}
	return op
}

// TestDocumentListsEveryRoute compares the routes with the document, both ways.
func TestDocumentListsEveryRoute(t *testing.T) {
	t.Parallel()
	d := document()
	if d.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", d.OpenAPI)
	}
	var served, described []string
	for _, r := range routes {
		served = append(served, strings.ToLower(r.method)+" "+r.path)
		op := d.operation(t, r.path, r.method)
		if op.Summary == "" || (op.RequestBody != nil) != r.changes {
			t.Errorf("%s %s: summary %q, a body %v", r.method, r.path, op.Summary, op.RequestBody != nil)
		}
	}
	for path, operations := range d.Paths {
		for method := range operations {
			if method != "parameters" {
				described = append(described, method+" "+path)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	if !slices.Equal(served, described) {
		t.Errorf("served    %v\ndescribed %v", served, described)
	}
}

// TestDocumentListsEveryCode compares the codes with the document.
func TestDocumentListsEveryCode(t *testing.T) {
	t.Parallel()
	var schema struct {
		Properties struct{ Code struct{ Enum []Code } }
	}
	if err := json.Unmarshal(document().parts.Schemas["Problem"], &schema); err != nil {
		t.Fatal(err)
	}
	for code, known := range codes {
		if !slices.Contains(schema.Properties.Code.Enum, code) || known.remedy == "" || known.status < 400 {
			t.Errorf("code %s: in the document %v, status %d, remedy %q", code,
				slices.Contains(schema.Properties.Code.Enum, code), known.status, known.remedy)
		}
	}
	if len(schema.Properties.Code.Enum) != len(codes) {
		t.Errorf("the document has %d codes, the server %d", len(schema.Properties.Code.Enum), len(codes))
	}
}

// checked is a transport that checks every request and answer against the document.
type checked struct {
	t     testing.TB
	inner http.RoundTripper
}

func (c *checked) RoundTrip(q *http.Request) (*http.Response, error) {
	path := routeOf(q.URL)
	op := document().operation(c.t, path, q.Method)
	if q.Body != nil {
		text, err := io.ReadAll(q.Body)
		if err != nil {
			return nil, err
		}
		q.Body = io.NopCloser(bytes.NewReader(text))
		validate(c.t, "request "+path, requestSchema(op), text)
	}
	answer, err := c.inner.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	status := answer.Status[:3]
	described, ok := op.Responses[status]
	if !ok {
		status, described = "default", op.Responses["default"]
	}
	if name, isRef := strings.CutPrefix(described.Ref, "#/components/responses/"); isRef {
		described = document().parts.Responses[name]
	}
	body, ok := described.Content[media]
	if !ok {
		c.t.Errorf("%s %s answers %s with %q, which the document does not say", q.Method, path, answer.Status, media)
	}
	if media == "application/json" {
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return nil, err
		}
		_ = answer.Body.Close() // it was read
		answer.Body = io.NopCloser(bytes.NewReader(text))
		validate(c.t, q.Method+" "+path+" "+status, body.Schema, text)
	}
	return answer, nil
}

func requestSchema(op *operation) json.RawMessage {
	if op.RequestBody == nil {
		return json.RawMessage("false")
	}
	body := *op.RequestBody
	if name, isRef := strings.CutPrefix(body.Ref, "#/components/requestBodies/"); isRef {
		body = document().parts.RequestBodies[name]
	}
	return body.Content["application/json"].Schema
}

// routeOf finds the path of the document that a URL is of.
func routeOf(u *url.URL) string {
	segments := strings.Split(strings.TrimPrefix(u.EscapedPath(), Prefix+"/"), "/")
	if len(segments) > 1 {
		segments[1] = "{run}"
	}
	if len(segments) > 3 && segments[2] == "tasks" {
		segments[3] = "{task}"
	}
	if len(segments) > 3 && segments[2] == "report" {
		segments[3] = "{file}"
	}
	return "/" + strings.Join(segments, "/")
}

var (
	schemasMu sync.Mutex
	schemas   = map[string]*jsonschema.Resolved{}
)

// validate checks text against a schema of the document.
func validate(t testing.TB, what string, schema json.RawMessage, text []byte) {
	resolved, err := resolve(schema)
	if err != nil {
		t.Errorf("%s: schema %s: %v", what, schema, err)
		return
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Errorf("%s is not JSON: %v: %s", what, err, text)
		return
	}
	if err := resolved.Validate(value); err != nil {
		t.Errorf("%s is not as the document says: %v: %.2000s", what, err, text)
	}
}

// resolve puts the document's schemas beside the one to check, under the name that JSON Schema has for them.
func resolve(schema json.RawMessage) (*jsonschema.Resolved, error) {
	schemasMu.Lock()
	defer schemasMu.Unlock()
	if known, ok := schemas[string(schema)]; ok {
		return known, nil
	}
	whole, err := json.Marshal(map[string]any{"allOf": []any{schema}, "$defs": document().parts.Schemas})
	if err != nil {
		return nil, err
	}
	whole = bytes.ReplaceAll(whole, []byte("#/components/schemas/"), []byte("#/$defs/"))
	var parsed jsonschema.Schema
	if err := json.Unmarshal(whole, &parsed); err != nil {
		return nil, err
	}
	resolved, err := parsed.Resolve(nil)
	if err == nil {
		schemas[string(schema)] = resolved
	}
	return resolved, err
}
