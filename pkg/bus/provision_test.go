package bus_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
)

// handMade returns a connection and JetStream's own client, with which tests do what operators do.
func handMade(t *testing.T) (*bus.Conn, jetstream.JetStream) {
	t.Helper()
	e := startServer(t, bus.EmbeddedOptions{})
	c := connect(t, bus.Options{URL: e.ClientURL()})
	js, err := jetstream.New(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	return c, js
}

func configOf(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

func ensureAll(t *testing.T, c *bus.Conn, o bus.StreamOptions) {
	t.Helper()
	if _, err := bus.NewJournal(c, "r", o).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := bus.NewResults(c, "r", o).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.NewDoorbell(c, o, nil).Ensure(t.Context(), []string{"cpu"}); err != nil {
		t.Fatal(err)
	}
}

func TestStreamsAreMadeAsDesigned(t *testing.T) {
	c, js := handMade(t)
	ensureAll(t, c, bus.StreamOptions{})
	journal := configOf(t, js, "AR_JOURNAL_r")
	if journal.Storage != jetstream.FileStorage || journal.AllowDirect || journal.Discard != jetstream.DiscardNew ||
		!journal.DenyDelete || journal.DenyPurge || journal.MaxBytes != -1 || journal.MaxAge != 0 || journal.Replicas != 1 {
		t.Errorf("journal: %+v", journal)
	}
	results := configOf(t, js, "AR_RESULTS_r")
	if results.Storage != jetstream.FileStorage || results.Retention != jetstream.LimitsPolicy ||
		results.Discard != jetstream.DiscardNew || results.MaxBytes != bus.ResultsMaxBytesDefault {
		t.Errorf("results: %+v", results)
	}
	tasks := configOf(t, js, bus.StreamTasks)
	if tasks.Storage != jetstream.MemoryStorage || tasks.Retention != jetstream.WorkQueuePolicy ||
		tasks.MaxMsgsPerSubject != 1 || !tasks.DiscardNewPerSubject || tasks.MaxBytes != bus.TasksMaxBytesDefault {
		t.Errorf("tasks: %+v", tasks)
	}
	consumer, err := js.Consumer(t.Context(), bus.StreamTasks, bus.ClassConsumer("cpu"))
	if err != nil {
		t.Fatal(err)
	}
	config := consumer.CachedInfo().Config
	if config.Durable != "cpu" || config.AckPolicy != jetstream.AckExplicitPolicy || config.MaxAckPending < 10_000 ||
		config.MaxWaiting < 10_000 || config.FilterSubject != "ar.task.cpu.>" || config.MaxDeliver != -1 {
		t.Errorf("consumer: %+v", config)
	}
}

func TestEnsureAdaptsWhatIsSafe(t *testing.T) {
	c, js := handMade(t)
	ensureAll(t, c, bus.StreamOptions{})
	changed := configOf(t, js, "AR_JOURNAL_r")
	changed.AllowDirect, changed.Discard, changed.MaxBytes = true, jetstream.DiscardOld, 1<<30
	if _, err := js.UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	ensureAll(t, c, bus.StreamOptions{})
	journal := configOf(t, js, "AR_JOURNAL_r")
	if journal.AllowDirect || journal.Discard != jetstream.DiscardNew {
		t.Errorf("what the journal needs was not restored: %+v", journal)
	}
	if journal.MaxBytes != 1<<30 {
		t.Errorf("an operator's bound became %d", journal.MaxBytes)
	}
	ensureAll(t, c, bus.StreamOptions{JournalMaxBytes: 1 << 20, ResultsMaxBytes: 1 << 21, TasksMaxBytes: 1 << 22})
	for name, want := range map[string]int64{"AR_JOURNAL_r": 1 << 20, "AR_RESULTS_r": 1 << 21, bus.StreamTasks: 1 << 22} {
		if got := configOf(t, js, name).MaxBytes; got != want {
			t.Errorf("%s: bound %d, want %d", name, got, want)
		}
	}
}

func TestEnsureRefusesForeignStreams(t *testing.T) {
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"subjects":    func(c *jetstream.StreamConfig) { c.Subjects = []string{"other"} },
		"storage":     func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"retention":   func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"deny_purge":  func(c *jetstream.StreamConfig) { c.DenyPurge = true },
		"deny_delete": func(c *jetstream.StreamConfig) { c.DenyDelete = true },
	} {
		t.Run(name, func(t *testing.T) {
			c, js := handMade(t)
			config := jetstream.StreamConfig{Name: "AR_RESULTS_r", Subjects: []string{bus.ResultRunSubject("r")}}
			change(&config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			err := bus.NewResults(c, "r", bus.StreamOptions{}).Ensure(t.Context())
			wantExplained(t, err, "AR_RESULTS_r", name)
		})
	}
}

func TestEnsureCannotHaveReplicasOnOneServer(t *testing.T) {
	c, _ := handMade(t)
	_, err := bus.NewJournal(c, "r", bus.StreamOptions{Replicas: 3}).Ensure(t.Context())
	wantExplained(t, err, "AR_JOURNAL_r", "replicas")
}

// Coordinators that start at the same time make one stream; those whose requests met may each think they made it.
func TestEnsureTogether(t *testing.T) {
	c, _ := handMade(t)
	const together = 8
	type outcome struct {
		created bool
		err     error
	}
	outcomes := make(chan outcome, together)
	for range together {
		go func() {
			created, err := bus.NewJournal(c, "r", bus.StreamOptions{}).Ensure(context.Background())
			outcomes <- outcome{created, err}
		}()
	}
	created := 0
	for range together {
		o := <-outcomes
		if o.err != nil {
			t.Error(o.err)
		}
		if o.created {
			created++
		}
	}
	if created == 0 {
		t.Error("nobody created it")
	}
}

// A class's consumer that someone changed is put right.
func TestEnsureAdaptsConsumers(t *testing.T) {
	c, js := handMade(t)
	ensureAll(t, c, bus.StreamOptions{})
	consumer, err := js.Consumer(t.Context(), bus.StreamTasks, "cpu")
	if err != nil {
		t.Fatal(err)
	}
	changed := consumer.CachedInfo().Config
	changed.MaxAckPending = 5
	if _, err := js.UpdateConsumer(t.Context(), bus.StreamTasks, changed); err != nil {
		t.Fatal(err)
	}
	ensureAll(t, c, bus.StreamOptions{})
	if consumer, err = js.Consumer(t.Context(), bus.StreamTasks, "cpu"); err != nil {
		t.Fatal(err)
	}
	if got := consumer.CachedInfo().Config.MaxAckPending; got < 10_000 {
		t.Errorf("MaxAckPending is %d", got)
	}
}

// TestCreateKilledHalfWay makes a journal where a server was killed in the middle of making it: the folder has the
// stream's configuration and no checksum. What is appended to the journal then must outlive the server's next start.
func TestCreateKilledHalfWay(t *testing.T) {
	store := t.TempDir()
	began := func(use func(bus.Journal)) {
		e := startServer(t, bus.EmbeddedOptions{StoreDir: store})
		c := connect(t, bus.Options{URL: e.ClientURL()})
		use(bus.NewJournal(c, "r", bus.StreamOptions{}))
		shutDown(t, e)
	}
	ensure := func(j bus.Journal) {
		if created, err := j.Ensure(t.Context()); err != nil || !created {
			t.Fatalf("ensure: created %t, error %v", created, err)
		}
	}
	began(ensure)
	sums, err := filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", "AR_JOURNAL_r", "meta.sum"))
	if err != nil || len(sums) != 1 {
		t.Fatalf("checksums: %v, %v", sums, err)
	}
	if err := os.Remove(sums[0]); err != nil {
		t.Fatal(err)
	}
	began(func(j bus.Journal) {
		ensure(j)
		if err := j.Append(t.Context(), 0, []byte("a record")); err != nil {
			t.Fatal(err)
		}
	})
	began(func(j bus.Journal) {
		if got, err := j.Get(t.Context(), 1); err != nil || string(got) != "a record" {
			t.Errorf("got %q, error %v", got, err)
		}
	})
}
