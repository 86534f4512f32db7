package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// cluster is NATS with exactly the generated configuration, what a coordinator makes for two runs, and a connection for each
// user.
type cluster struct {
	t        *testing.T
	url      string
	replicas int
	ca       string // the authority that clients trust; "" without TLS
	dir      *Dir
	conns    map[string]*bus.Conn // by the user's name
	wrong    map[string]chan error
}

// The runs that there are, and what lies in them.
const (
	runOne spec.RunName = "one"
	runTwo spec.RunName = "two.b"
)

// newCluster starts one server, without TLS.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, replicas: 1, dir: initUsers(t, TLSPaths{})}
	c.url = startConfigured(t, filepath.Join(c.dir.path, ServerFile))
	c.populate()
	return c
}

// initUsers makes the users of the tests.
func initUsers(t *testing.T, tls TLSPaths) *Dir {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth")
	must(t, open(t, path).Init(tls, false))
	addWorkers(t, path, User{Group: "spot", Classes: []string{"gpu", "gpu[zone=a]"}, Runs: []string{string(runTwo)}})
	return open(t, path)
}

// populate has everybody connect, and a coordinator make what two runs need.
func (c *cluster) populate() {
	c.t.Helper()
	c.conns, c.wrong = map[string]*bus.Conn{}, map[string]chan error{}
	for _, u := range c.dir.Users {
		c.connect(u)
	}
	for _, run := range []spec.RunName{runOne, runTwo} {
		c.provision(run)
	}
}

// startConfigured starts a server that includes the generated part as an administrator would.
func startConfigured(t *testing.T, generated string) (url string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("port: -1\nhost: 127.0.0.1\njetstream {store_dir: %q}\ninclude %q\n", dir, relative(t, dir, generated))
	if err := replace(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(config)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}

// relative is how a file is included: the path counts from the including file's folder.
func relative(t *testing.T, dir, path string) string {
	t.Helper()
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

func (c *cluster) connect(u User) {
	c.t.Helper()
	wrong := make(chan error, 100)
	conn, err := bus.Connect(c.t.Context(), bus.Options{
		URL: c.url, TLSCA: c.ca, NKeySeedFile: c.dir.Seed(u), InboxPrefix: u.InboxPrefix(), APIPrefix: u.APIPrefix(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		ErrorFunc: func(err error) { wrong <- err },
	})
	if err != nil {
		c.t.Fatalf("%s: %v", u.Name(), err)
	}
	c.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			c.t.Error(err)
		}
	})
	c.conns[u.Name()], c.wrong[u.Name()] = conn, wrong
}

// provision is what a leader makes, through the coordinator's credential.
func (c *cluster) provision(run spec.RunName) {
	c.t.Helper()
	conn, ctx, o := c.conns["coordinator"], c.t.Context(), bus.StreamOptions{Replicas: c.replicas}
	journal, mirror := bus.NewJournal(conn, run, o), kv.NewMirror(conn, run, o)
	lease, objects := kv.NewLease(conn, kv.LeaseOptions{TTL: time.Minute, Replicas: c.replicas}), bus.NewObjects(conn, run, o)
	doorbell := bus.NewDoorbell(conn, o, func(subject string, err error) { c.t.Error(subject, err) })
	_, journaled := journal.Ensure(ctx)
	_, mirrored := mirror.Ensure(ctx)
	_, rings := doorbell.Ensure(ctx, []string{"cpu", "gpu", "cpu[zone=a]", "gpu[zone=a]"})
	err := errors.Join(journaled, mirrored, rings, lease.Ensure(ctx), objects.Ensure(ctx),
		bus.NewResults(conn, run, o).Ensure(ctx), journal.Append(ctx, 0, []byte("record")),
		bus.NewRejects(conn, run, o).Put(ctx, &bus.Rejected{Rule: spec.RuleForged}))
	if err == nil {
		_, err = mirror.Flush(ctx, 0, []kv.Entry{{Key: kv.KeyMeta, Value: []byte("meta")}})
	}
	if err == nil {
		_, err = lease.Acquire(ctx, run, kv.Holder{ID: "leader"}, 0)
	}
	if err == nil {
		_, err = objects.Put(ctx, payloadOf(run))
	}
	if err != nil {
		c.t.Fatalf("provision run %s: %v", run, err)
	}
}

// payloadOf is a large payload of a run, of several chunks.
func payloadOf(run spec.RunName) []byte {
	return []byte(strings.Repeat("secret of "+string(run), 20_000))
}

// marks is what tells whether anything was changed: the last sequence of every stream.
func (c *cluster) marks() string {
	c.t.Helper()
	var marks strings.Builder
	for _, run := range []spec.RunName{runOne, runTwo} {
		for _, name := range []string{
			bus.JournalStream(run), bus.ResultsStream(run), bus.RejectedStream(run), "KV_" + bus.StateBucket(run), bus.StreamTasks,
			"KV_" + bus.BucketLease, bus.ObjectStream(bus.BucketArtifacts),
		} {
			messages, last, err := bus.NewStream(c.conns["coordinator"], streamNamed(name)).Size(c.t.Context())
			fmt.Fprintln(&marks, name, messages, last, err)
		}
	}
	return marks.String()
}

// errDenied: NATS said that a user may not.
var errDenied = errors.New("not permitted")

// errNobody: nobody answers, as it is for what an account does not import.
var errNobody = errors.New("nobody answers")

// ask publishes a message and waits for its answer: the user may do what is answered, and well.
func (c *cluster) ask(user, subject, body string, headers ...string) error {
	conn := c.conns[user].NATS()
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }()
	m := &nats.Msg{Subject: subject, Reply: inbox, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		m.Header.Set(headers[i], headers[i+1])
	}
	if err := conn.PublishMsg(m); err != nil {
		return err
	}
	return c.answer(user, answers)
}

func (c *cluster) answer(user string, answers *nats.Subscription) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	answered, ended := make(chan error, 1), make(chan struct{})
	defer func() { cancel(); <-ended }()
	go func() {
		defer close(ended)
		m, err := answers.NextMsgWithContext(ctx)
		switch {
		case err != nil:
		case m.Header.Get("Status") == "503":
			err = errNobody
		case strings.Contains(string(m.Data), `"error":{`):
			err = errors.New(string(m.Data))
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case err := <-c.wrong[user]:
		return fmt.Errorf("%w: %w", errDenied, err)
	}
}

// tell publishes a message without asking for an answer, with an answer going elsewhere if reply is named.
func (c *cluster) tell(user, subject, reply, body string) error {
	conn := c.conns[user].NATS()
	if err := conn.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: []byte(body)}); err != nil {
		return err
	}
	return c.flush(user)
}

// flush waits until the server has seen all that the user sent, and returns what it refused.
func (c *cluster) flush(user string) error {
	if _, err := c.conns[user].RTT(c.t.Context()); err != nil {
		return err
	}
	select {
	case err := <-c.wrong[user]:
		return fmt.Errorf("%w: %w", errDenied, err)
	default:
		return nil
	}
}

// listen subscribes, and waits a moment to be refused.
func (c *cluster) listen(user, subject string) error {
	sub, err := c.conns[user].NATS().SubscribeSync(subject)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	select {
	case err := <-c.wrong[user]:
		return fmt.Errorf("%w: %w", errDenied, err)
	case <-time.After(5 * time.Second):
		return nil
	}
}
