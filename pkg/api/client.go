package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// ClientOptions say how a server is reached.
type ClientOptions struct {
	// Server is http://host:port, https://host:port, or unix:/path/of/a/socket.
	Server string
	// Token is sent as a bearer token; "" is none.
	Token string
	// By says in whose name changes are asked for.
	By string
}

// Client asks a Server. It is safe for concurrent use. Its errors are *Problem where the server answered.
type Client struct {
	o    ClientOptions
	base string
	http *http.Client
}

// NewClient returns a client. It connects to nothing until it is used.
func NewClient(o ClientOptions) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c := &Client{o: o, http: &http.Client{Transport: transport}}
	if path, isSocket := strings.CutPrefix(o.Server, "unix:"); isSocket {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		c.base = "http://localhost" + Prefix
		return c, nil
	}
	u, err := url.Parse(o.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("server %q: it must be http://HOST:PORT, https://HOST:PORT or unix:PATH", o.Server)
	}
	c.base = strings.TrimSuffix(o.Server, "/") + Prefix
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is one request of the client.
type request struct {
	method, path string
	query        url.Values
	body         any
	match        string // If-Match; "" for none
	header       http.Header
}

// open sends a request and returns the answer, whose body the caller must close.
func (c *Client) open(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		text, err := encode(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(text)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	q, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	c.sign(q, r)
	answer, err := c.http.Do(q)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.o.Server, err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		defer func() { _ = answer.Body.Close() }() // it was read
		return nil, problemIn(answer)
	}
	return answer, nil
}

func (c *Client) sign(q *http.Request, r request) {
	if r.header != nil {
		q.Header = r.header
	}
	if r.body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if r.match != "" {
		q.Header.Set("If-Match", `"`+r.match+`"`)
	}
	if c.o.Token != "" {
		q.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	if c.o.By != "" {
		q.Header.Set(ByHeader, c.o.By)
	}
}

// answerMax bounds what a client reads of an answer that is not a stream.
const answerMax = 1 << 30

// problemIn reads why a server refused; something else may stand there, such as the page of a proxy.
func problemIn(answer *http.Response) error {
	var body struct {
		Error *Problem `json:"error"`
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && json.Unmarshal(text, &body) == nil && body.Error != nil {
		return body.Error
	}
	return fmt.Errorf("%s %s: %s, and not from this API: is it the right server?",
		answer.Request.Method, answer.Request.URL.Redacted(), answer.Status)
}

// ask sends a request and decodes the answer into to.
func (c *Client) ask(ctx context.Context, r request, to any) error {
	answer, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	if err := json.NewDecoder(io.LimitReader(answer.Body, answerMax)).Decode(to); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values, to any) error {
	return c.ask(ctx, request{method: http.MethodGet, path: path, query: query}, to)
}

// Version returns the server's version.
func (c *Client) Version(ctx context.Context) (v VersionAnswer, err error) {
	return v, c.get(ctx, "/version", nil, &v)
}

// Runs lists the runs that the server knows.
func (c *Client) Runs(ctx context.Context) ([]Run, error) {
	var list RunList
	err := c.get(ctx, "/runs", nil, &list)
	return list.Runs, err
}

// Run returns a run at a glance.
func (c *Client) Run(ctx context.Context, run spec.RunName) (r Run, err error) {
	return r, c.get(ctx, runPath(run, ""), nil, &r)
}

// CreateRun registers a run; the same again is no error.
func (c *Client) CreateRun(ctx context.Context, r RunRequest) (a CreateAnswer, err error) {
	return a, c.ask(ctx, request{method: http.MethodPost, path: "/runs", body: r}, &a)
}

// Entry returns what is registered of a run.
func (c *Client) Entry(ctx context.Context, run spec.RunName) (e Entry, err error) {
	return e, c.get(ctx, runPath(run, "entry"), nil, &e)
}

// ChangeEntry changes what is registered of a run; match, unless empty, is the version that it must still have.
func (c *Client) ChangeEntry(ctx context.Context, run spec.RunName, r EntryRequest, match string) (a EntryAnswer, err error) {
	return a, c.ask(ctx, request{method: http.MethodPut, path: runPath(run, "entry"), body: r, match: match}, &a)
}

// ArchiveRun lets a run go, or takes it up again.
func (c *Client) ArchiveRun(ctx context.Context, run spec.RunName, r ArchiveRequest) (now Run, err error) {
	return now, c.ask(ctx, request{method: http.MethodPost, path: runPath(run, "archive"), body: r}, &now)
}

// DeleteRun removes an archived run with all that it did.
func (c *Client) DeleteRun(ctx context.Context, run spec.RunName, r ReasonRequest) error {
	var a DeleteAnswer
	return c.ask(ctx, request{method: http.MethodPost, path: runPath(run, "delete"), body: r}, &a)
}

// RunFiles returns the files of a run's workdir as tar.gz, which the caller must close.
func (c *Client) RunFiles(ctx context.Context, run spec.RunName) (io.ReadCloser, error) {
	answer, err := c.open(ctx, request{method: http.MethodGet, path: runPath(run, "files")})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

func runPath(run spec.RunName, action string) string {
	path := "/runs/" + runSegment(run)
	if action != "" {
		path += "/" + action
	}
	return path
}

// TaskQuery says which tasks are wanted, in which order. Empty fields mean the server's defaults.
type TaskQuery struct {
	Status, Kinds, Classes []string
	Parent                 spec.TaskID
	Text, Sort, Cursor     string
	Limit                  int
}

func (q TaskQuery) values() url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("status", strings.Join(q.Status, ","))
	set("kind", strings.Join(q.Kinds, ","))
	set("class", strings.Join(q.Classes, ","))
	set("parent", string(q.Parent))
	set("text", q.Text)
	set("sort", q.Sort)
	set("cursor", q.Cursor)
	setLimit(values, q.Limit)
	return values
}

func setLimit(values url.Values, limit int) {
	if limit > 0 {
		values.Set("limit", fmt.Sprint(limit))
	}
}

// Tasks returns a page of tasks.
func (c *Client) Tasks(ctx context.Context, run spec.RunName, q TaskQuery) (list TaskList, err error) {
	return list, c.get(ctx, runPath(run, "tasks"), q.values(), &list)
}

// Task returns all that is known of a task.
func (c *Client) Task(ctx context.Context, run spec.RunName, id spec.TaskID) (d TaskDetail, err error) {
	return d, c.get(ctx, taskPath(run, id, ""), nil, &d)
}

// Series returns how the metrics of the attempt that decided a task went.
func (c *Client) Series(ctx context.Context, run spec.RunName, id spec.TaskID) (list SeriesList, err error) {
	return list, c.get(ctx, taskPath(run, id, "series"), nil, &list)
}

// Artifacts lists the files that the attempt which decided a task left.
func (c *Client) Artifacts(ctx context.Context, run spec.RunName, id spec.TaskID) (list ArtifactList, err error) {
	return list, c.get(ctx, taskPath(run, id, "artifacts"), nil, &list)
}

// Artifact returns the content of one of these files. The caller closes it.
func (c *Client) Artifact(ctx context.Context, run spec.RunName, id spec.TaskID, path string) (io.ReadCloser, error) {
	return c.download(ctx, taskPath(run, id, "artifact"), url.Values{"path": {path}})
}

// LogQuery says which output is wanted: of the newest attempt when Attempt is 0, after the chunk whose id is After.
type LogQuery struct {
	Attempt uint32
	After   string
}

func (q LogQuery) values() url.Values {
	values := url.Values{}
	if q.Attempt > 0 {
		values.Set("attempt", fmt.Sprint(q.Attempt))
	}
	if q.After != "" {
		values.Set("after", q.After)
	}
	return values
}

// Logs returns a page of what an attempt wrote.
func (c *Client) Logs(ctx context.Context, run spec.RunName, id spec.TaskID, q LogQuery) (page LogPage, err error) {
	return page, c.get(ctx, taskPath(run, id, "logs"), q.values(), &page)
}

// FollowLogs calls f for what an attempt has written after q.After and writes from then on, until it is over, ctx ends or f
// fails. A stream that breaks is opened again where it ended.
func (c *Client) FollowLogs(ctx context.Context, run spec.RunName, id spec.TaskID, q LogQuery, f func(LogChunk) error) error {
	next := func() request {
		return request{method: http.MethodGet, path: taskPath(run, id, "logs"), query: q.values()}
	}
	return c.followStream(ctx, next, func(_, data string) error {
		if data == "" {
			return nil
		}
		var chunk LogChunk
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return fmt.Errorf("read a chunk: %w", err)
		}
		if chunk.ID == "" {
			return errStreamEnd
		}
		q.After = chunk.ID
		if err := f(chunk); err != nil {
			return &callbackError{err}
		}
		return nil
	})
}

// Submit submits tasks.
func (c *Client) Submit(ctx context.Context, run spec.RunName, r SubmitRequest) (a SubmitAnswer, err error) {
	return a, c.ask(ctx, request{method: http.MethodPost, path: runPath(run, "tasks"), body: r}, &a)
}

// Cancel ends a task; match, unless empty, is the version that it must still have.
func (c *Client) Cancel(ctx context.Context, run spec.RunName, id spec.TaskID, r CancelRequest, match string) (a ChangeAnswer, err error) {
	return a, c.ask(ctx, request{method: http.MethodPost, path: taskPath(run, id, "cancel"), body: r, match: match}, &a)
}

// Retry runs a failed task again, as a new task.
func (c *Client) Retry(ctx context.Context, run spec.RunName, id spec.TaskID, r RetryRequest) (a RetryAnswer, err error) {
	return a, c.ask(ctx, request{method: http.MethodPost, path: taskPath(run, id, "retry"), body: r}, &a)
}

// Reprioritise changes a priority; match, unless empty, is the version that the task must still have.
func (c *Client) Reprioritise(ctx context.Context, run spec.RunName, id spec.TaskID, r PriorityRequest, match string) (a ChangeAnswer, err error) {
	return a, c.ask(ctx, request{method: http.MethodPut, path: taskPath(run, id, "priority"), body: r, match: match}, &a)
}

// Pause stops dispatching; match, unless empty, is the version that the run's controls must still have.
func (c *Client) Pause(ctx context.Context, run spec.RunName, r ControlRequest, match string) (Run, error) {
	return c.control(ctx, run, http.MethodPost, "pause", r, match)
}

// Resume dispatches again, and ends a drain.
func (c *Client) Resume(ctx context.Context, run spec.RunName, r ControlRequest, match string) (Run, error) {
	return c.control(ctx, run, http.MethodPost, "resume", r, match)
}

// Drain lets what runs finish, and then stops the run.
func (c *Client) Drain(ctx context.Context, run spec.RunName, r ControlRequest, match string) (Run, error) {
	return c.control(ctx, run, http.MethodPost, "drain", r, match)
}

// SetBudget sets how many experiments run at once.
func (c *Client) SetBudget(ctx context.Context, run spec.RunName, r BudgetRequest, match string) (Run, error) {
	return c.control(ctx, run, http.MethodPut, "budget", r, match)
}

// SetAllowance sets what the run, or a task with all its descendants, may spend.
func (c *Client) SetAllowance(ctx context.Context, run spec.RunName, r AllowanceRequest, match string) (Run, error) {
	return c.control(ctx, run, http.MethodPut, "allowance", r, match)
}

func (c *Client) control(ctx context.Context, run spec.RunName, method, action string, body any, match string) (r Run, err error) {
	return r, c.ask(ctx, request{method: method, path: runPath(run, action), body: body, match: match}, &r)
}

// Workers returns the workers that were heard of lately.
func (c *Client) Workers(ctx context.Context, run spec.RunName) ([]Worker, error) {
	var list WorkerList
	err := c.get(ctx, runPath(run, "workers"), nil, &list)
	return list.Workers, err
}

// Tree returns a page of the hypothesis tree: of the subtree of root, unless that is empty.
func (c *Client) Tree(ctx context.Context, run spec.RunName, root spec.TaskID, cursor string, limit int) (t Tree, err error) {
	query := url.Values{}
	if root != "" {
		query.Set("root", string(root))
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	setLimit(query, limit)
	return t, c.get(ctx, runPath(run, "tree"), query, &t)
}

// History returns how the objective went.
func (c *Client) History(ctx context.Context, run spec.RunName, limit int) (h History, err error) {
	query := url.Values{}
	setLimit(query, limit)
	return h, c.get(ctx, runPath(run, "history"), query, &h)
}

// Snapshot returns the content of engine_state.json. The caller closes it.
func (c *Client) Snapshot(ctx context.Context, run spec.RunName) (io.ReadCloser, error) {
	return c.download(ctx, runPath(run, "snapshot"), nil)
}

// Export returns one row for each experiment, as FormatCSV or FormatJSONL. The caller closes it.
func (c *Client) Export(ctx context.Context, run spec.RunName, format string) (io.ReadCloser, error) {
	return c.download(ctx, runPath(run, "export"), url.Values{"format": {format}})
}

// Report returns one of report.Files, as the run is now. The caller closes it.
func (c *Client) Report(ctx context.Context, run spec.RunName, file string) (io.ReadCloser, error) {
	return c.download(ctx, runPath(run, "report/"+url.PathEscape(file)), nil)
}

func (c *Client) download(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	answer, err := c.open(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// EventQuery says which events are wanted. After is an event's id; "0" is before all of them, "" now.
type EventQuery struct {
	Types []string
	Task  spec.TaskID
	After string
	Limit int
}

func (q EventQuery) values() url.Values {
	values := url.Values{}
	if len(q.Types) > 0 {
		values.Set("type", strings.Join(q.Types, ","))
	}
	if q.Task != "" {
		values.Set("task", string(q.Task))
	}
	if q.After != "" {
		values.Set("after", q.After)
	}
	setLimit(values, q.Limit)
	return values
}

// Events returns a page of events: those after q.After, or the newest when that is empty.
func (c *Client) Events(ctx context.Context, run spec.RunName, q EventQuery) (list EventList, err error) {
	return list, c.get(ctx, runPath(run, "events"), q.values(), &list)
}

// Follow calls f for every event after q.After, from now on when that is empty, until ctx ends or f fails. A stream that
// breaks is opened again where it ended, at whatever leads then: f sees every event once. Only a refusal that would be
// repeated ends it.
func (c *Client) Follow(ctx context.Context, run spec.RunName, q EventQuery, f func(Event) error) error {
	q.Limit = 0
	next := func() request {
		return request{method: http.MethodGet, path: runPath(run, "events"), query: q.values()}
	}
	return c.followStream(ctx, next, func(id, data string) error {
		if id != "" {
			q.After = id
		}
		if data == "" {
			return nil
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := f(e); err != nil {
			return &callbackError{err}
		}
		return nil
	})
}

// followRetry is how long a client waits before it opens a broken stream again.
const followRetry = 300 * time.Millisecond

// callbackError is the error of a follower's callback.
type callbackError struct{ err error }

func (e *callbackError) Error() string { return e.err.Error() }

// errStreamEnd is what a reader of a stream returns when it has come to its end.
var errStreamEnd = errors.New("the stream has ended")

// followStream reads a stream, and opens it again with next when it breaks, until take ends it, ctx does, or the server
// refuses for good.
func (c *Client) followStream(ctx context.Context, next func() request, take func(id, data string) error) error {
	for {
		err := c.followOnce(ctx, next(), take)
		var refused *Problem
		var own *callbackError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errStreamEnd):
			return nil
		case errors.As(err, &own):
			return own.err
		case errors.As(err, &refused) && refused.Status() < http.StatusInternalServerError:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followRetry):
		}
	}
}

func (c *Client) followOnce(ctx context.Context, r request, take func(id, data string) error) error {
	r.header = http.Header{"Accept": {"text/event-stream"}}
	answer, err := c.open(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it has ended
	return readStream(answer.Body, take)
}
