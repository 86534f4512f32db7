package bus_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func TestConnectUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://someone:secret@" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = bus.Connect(t.Context(), bus.Options{URL: url, Logger: quiet()})
	if !errors.Is(err, bus.ErrUnreachable) {
		t.Fatalf("connected to nothing: %v", err)
	}
	wantExplained(t, err, listener.Addr().String(), "nats-server -js")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestConnectRetries(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	refused := make(chan struct{}, 100)
	go func() { // the first connections meet something that is no NATS server
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			refused <- struct{}{}
		}
	}()
	connected := make(chan error, 1)
	go func() {
		c, err := bus.Connect(t.Context(), bus.Options{URL: "nats://" + listener.Addr().String(), Retry: true, ReconnectWait: 10 * time.Millisecond, Logger: quiet()})
		if err == nil {
			err = c.Close()
		}
		connected <- err
	}()
	<-refused
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	startServer(t, bus.EmbeddedOptions{Port: port})
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
}

func TestConnectRetryEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := bus.Connect(ctx, bus.Options{URL: "nats://127.0.0.1:1", Retry: true, Logger: quiet()})
	if !errors.Is(err, bus.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// startPlain starts a server that is not configured as the embedded one.
func startPlain(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", -1, true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("not ready")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func TestConnectWithoutJetStream(t *testing.T) {
	s := startPlain(t, &server.Options{})
	_, err := bus.Connect(t.Context(), bus.Options{URL: s.ClientURL(), Logger: quiet()})
	if !errors.Is(err, bus.ErrNoJetStream) {
		t.Fatalf("connected without JetStream: %v", err)
	}
	wantExplained(t, err, "nats-server -js")
}

// A worker that may only do a worker's things connects, pulls, reports and listens.
func TestWorkerPermissions(t *testing.T) {
	const class, id, prefix = "cpu", "w1", "_INBOX_w1"
	s := startPlain(t, &server.Options{
		JetStream: true, StoreDir: t.TempDir(),
		Users: []*server.User{
			{Username: "leader", Password: "l"},
			{Username: id, Password: "w", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{
					"$JS.API.CONSUMER.INFO.AR_TASKS." + class, "$JS.API.CONSUMER.MSG.NEXT.AR_TASKS." + class,
					"$JS.ACK.AR_TASKS." + class + ".>", "ar.result.*." + id, "ar.up." + id,
				}},
				Subscribe: &server.SubjectPermission{Allow: []string{prefix + ".>", "ar.ctl." + id, "ar.ctl.all"}},
			}},
		},
	})
	leader := connect(t, bus.Options{URL: s.ClientURL(), User: "leader", Password: "l"})
	start := time.Now()
	worker := connect(t, bus.Options{URL: s.ClientURL(), User: id, Password: "w", InboxPrefix: prefix})
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("connecting took %v", took)
	}

	results := bus.NewResults(leader, "r", bus.StreamOptions{})
	doorbell := bus.NewDoorbell(leader, bus.StreamOptions{}, func(subject string, err error) { t.Errorf("%s: %v", subject, err) })
	_, err := doorbell.Ensure(t.Context(), []string{class})
	if err = errors.Join(err, results.Ensure(t.Context())); err != nil {
		t.Fatal(err)
	}
	heard, told := make(chan bus.Uplink, 1), make(chan bus.Answer, 2)
	stopLeader, err := bus.NewUplinks(leader).Listen(func(_ spec.WorkerID, u bus.Uplink) { heard <- u })
	if err != nil {
		t.Fatal(err)
	}
	defer stopLeader()
	stopWorker, err := worker.ListenControl(id, func(a bus.Answer) { told <- a })
	if err != nil {
		t.Fatal(err)
	}
	defer stopWorker()
	if _, err := worker.RTT(t.Context()); err != nil { // its subscriptions are known to the server
		t.Fatal(err)
	}

	if err := doorbell.Publish([]*bus.Dispatch{&bus.Dispatch{Run: "r", Class: class, Task: spec.TaskSpec{ID: "t"}, Attempt: 1}}, false); err != nil {
		t.Fatal(err)
	}
	tasks, err := bus.NewPuller(worker, class, nil).Pull(t.Context(), 5*time.Second)
	if err != nil || len(tasks) != 1 {
		t.Fatalf("pulled %v, error %v", tasks, err)
	}
	message := &bus.ResultMessage{Worker: id, Reports: []bus.Report{{AttemptRef: bus.AttemptRef{Run: "r", Task: "t", Attempt: 1}}}}
	if err := worker.PublishResult(t.Context(), "r", id, message); err != nil {
		t.Fatal(err)
	}
	if err := worker.SendUplink(&bus.Uplink{Worker: id, Full: true}); err != nil {
		t.Fatal(err)
	}
	if u := <-heard; u.Worker != id || !u.Full {
		t.Errorf("heard %+v", u)
	}
	up := bus.NewUplinks(leader)
	if err := errors.Join(up.Answer(id, bus.Answer{Run: "r", Epoch: 1}), up.Hello(bus.Answer{Run: "r", Epoch: 2, Hello: true})); err != nil {
		t.Fatal(err)
	}
	if first, second := <-told, <-told; first.Epoch+second.Epoch != 3 {
		t.Errorf("told %+v and %+v", first, second)
	}
}

func TestCloseTwice(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	c := connect(t, bus.Options{URL: e.ClientURL()}) // closes again
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.SendUplink(&bus.Uplink{Worker: "w"}); err == nil {
		t.Error("sent over a closed connection")
	}
	err := bus.NewJournal(c, "r", bus.StreamOptions{}).Append(t.Context(), 0, nil)
	if !errors.Is(err, bus.ErrAmbiguous) {
		t.Errorf("append over a closed connection: %v", err)
	}
}

func TestCloseWhileDisconnected(t *testing.T) {
	w := newRealWorld(t)
	w.Down()
	if err := w.leader.Close(); err != nil {
		t.Error(err)
	}
	w.start()
}

// A connection that is lost ends the wait for answers that cannot come any more.
func TestDisconnectEndsWaiting(t *testing.T) {
	w := newRealWorld(t)
	sub, err := w.leader.NATS().SubscribeSync("ar.lead.>")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.leader.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	pinged := make(chan error, 1)
	go func() { pinged <- bus.NewUplinks(w.worker).Ping(context.Background(), "r") }()
	if _, err := sub.NextMsg(5 * time.Second); err != nil { // the ping has left and nobody answers it
		t.Fatal(err)
	}
	start := time.Now()
	w.Down()
	if err := <-pinged; err == nil || errors.Is(err, bus.ErrNoLeader) || time.Since(start) > 4*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	w.Up()
}

func TestConnectNamesTheFilesItCannotRead(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	missing := filepath.Join(t.TempDir(), "missing")
	for name, o := range map[string]bus.Options{
		"credentials": {CredentialsFile: missing},
		"seed":        {NKeySeedFile: missing},
		"password":    {User: "u", PasswordFile: missing},
		"authority":   {TLSCA: missing},
		"certificate": {TLSCert: missing, TLSKey: missing},
	} {
		o.URL, o.Logger = e.ClientURL(), quiet()
		_, err := bus.Connect(t.Context(), o)
		if err == nil {
			// Credentials are read when the server asks for them; this one never does.
			t.Logf("%s: connected", name)
			continue
		}
		if !strings.Contains(err.Error(), missing) || errors.Is(err, bus.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnReconnect(t *testing.T) {
	w := newRealWorld(t)
	called := make(chan int, 10)
	stop := w.leader.OnReconnect(func() { called <- 1 })
	w.leader.OnReconnect(func() { called <- 2 })
	w.Down()
	w.Up()
	if sum := <-called + <-called; sum != 3 {
		t.Errorf("called with %d in all", sum)
	}
	stop()
	w.Down()
	w.Up()
	if got := <-called; got != 2 {
		t.Errorf("%d was called after stop", got)
	}
}
