package api

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func readAll(t *testing.T, open func() (io.ReadCloser, error)) string {
	t.Helper()
	body, err := open()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	_ = body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// raw sends a request as it stands and returns status and body.
func raw(t *testing.T, n *node, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, n.http.URL+Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method != http.MethodGet {
		q.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(q)
	}
	answer, err := n.http.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	text := readAll(t, func() (io.ReadCloser, error) { return answer.Body, nil })
	return answer.StatusCode, text
}

// post sends a body that the server must take.
func post(t *testing.T, n *node, path, body string) string {
	t.Helper()
	status, text := raw(t, n, http.MethodPost, path, body, nil)
	if status != http.StatusOK {
		t.Fatalf("POST %s: %d %s", path, status, text)
	}
	return text
}
