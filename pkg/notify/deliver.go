package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// errFinal marks a refusal that would be repeated.
var errFinal = errors.New("not tried again")

// teller delivers a notice to one webhook or command.
type teller struct {
	spec.Notification
	http *http.Client
}

// newClient returns a client that follows no redirect: what it sends may hold a secret.
func newClient() *http.Client {
	return &http.Client{
		Transport:     http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// tell makes one attempt. Its errors hold no secret.
func (t *teller) tell(ctx context.Context, n *Notice, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	if len(t.Command) > 0 {
		return t.run(ctx, n, body)
	}
	return t.post(ctx, n, body)
}

func (t *teller) post(ctx context.Context, n *Notice, body []byte) error {
	address, err := t.secret(t.Webhook, t.WebhookEnv, t.WebhookFile)
	if err != nil {
		return err
	}
	token, err := t.secret("", t.TokenEnv, t.TokenFile)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the webhook's address is no URL: %w", errFinal)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "autoresearch")
	q.Header.Set("Idempotency-Key", n.ID)
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := t.http.Do(q)
	if err != nil {
		var u *url.Error // its text holds the address
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("post to %s: %w", q.URL.Host, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	return verdict(q.URL.Host, answer.StatusCode)
}

// verdict says what an answer means.
func verdict(host string, status int) error {
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 5, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return fmt.Errorf("post to %s: it answered %d", host, status)
	}
	return fmt.Errorf("post to %s: it answered %d: %w", host, status, errFinal)
}

// secret is a value as the workflow has it, or what an environment variable or a file holds now; "" without any.
func (t *teller) secret(value, variable, file string) (string, error) {
	switch {
	case variable != "":
		if value = strings.TrimSpace(os.Getenv(variable)); value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", variable)
		}
	case file != "":
		if !filepath.IsAbs(file) {
			file = filepath.Join(t.Dir, file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if value = strings.TrimSpace(string(text)); value == "" {
			return "", fmt.Errorf("%s is empty", file)
		}
	}
	return value, nil
}

// endedWait is how long what a command started may hold its output after it ended.
const endedWait = time.Second

func (t *teller) run(ctx context.Context, n *Notice, body []byte) error {
	cmd := exec.CommandContext(ctx, t.Command[0], t.Command[1:]...)
	cmd.Dir, cmd.Stdin, cmd.WaitDelay = t.Dir, bytes.NewReader(body), endedWait
	if path := t.Command[0]; strings.ContainsRune(path, filepath.Separator) && !filepath.IsAbs(path) {
		cmd.Path, cmd.Err = filepath.Join(t.Dir, path), nil
	}
	cmd.Env = append(os.Environ(), "AUTORESEARCH_EVENT="+string(n.Event), "AUTORESEARCH_RUN="+clean(string(n.Run)),
		"AUTORESEARCH_TASK="+clean(string(n.Task)), "AUTORESEARCH_TEXT="+clean(n.Text))
	var said ending
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("command %s: %w; it wrote: %q", t.Command[0], err, said.text)
	}
	return nil
}

// clean drops what no environment takes.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// ending keeps the end of what is written to it.
type ending struct{ text []byte }

// endingMax is how much an ending keeps.
const endingMax = 500

func (e *ending) Write(p []byte) (int, error) {
	e.text = append(e.text, p...)
	e.text = e.text[max(0, len(e.text)-endingMax):]
	return len(p), nil
}
