package auth

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// streamNamed is the little that looking at a stream needs.
func streamNamed(name string) jetstream.StreamConfig { return jetstream.StreamConfig{Name: name} }

// The objects of the two runs, as requests name them.
var (
	chunkOne = "$O.AR_ARTIFACTS.C.one." + spec.BlobOf(payloadOf(runOne)).Digest.String() + ".x.0"
	chunkTwo = "$O.AR_ARTIFACTS.C.two=2Eb." + spec.BlobOf(payloadOf(runTwo)).Digest.String() + ".x.0"
)

// attempts are what somebody may try with a credential: one line each, all refused. "ask" publishes with an inbox to answer
// to, "hear" subscribes.
const attempts = `
default  ask  ar.result.one.spot.w1                         # another group's result
default  ask  ar.result.one.w1                              # a result of no group
default  ask  ar.log.one.spot.w1.t.1.stdout                 # another group's output
default  ask  ar.log.one.=.w1.t.1.stdout
default  ask  $O.AR_FILES.M.x                               # the workdir of a run
default  ask  $O.AR_FILES.C.x
default  ask  ar.up.spot.w1                                 # another group's heartbeat
default  ask  ar.up.w1                                      # a heartbeat of no group
default  ask  ar.journal.one                                # a record
default  ask  ar.task.cpu.one.t.1                           # a task
default  ask  ar.ctl.spot.w1                                # a leader's word to another worker
default  ask  ar.ctl.default.w2                             # and to one of its own group
default  ask  ar.ctl.all                                    # and to all
default  ask  ar.lead.one                                   # the leader's ear
default  ask  ar.rejected.one
default  ask  $KV.AR_LEASE.one                              # the lease
default  ask  $KV.AR_STATE_one.meta                         # the mirror
default  ask  $JS.API.INFO
default  ask  $JS.API.STREAM.NAMES
default  ask  $JS.API.STREAM.LIST
default  ask  $JS.API.STREAM.CREATE.MINE {"name":"MINE","subjects":["ar.up.>"]}
default  ask  $JS.API.STREAM.UPDATE.AR_JOURNAL_one {"name":"AR_JOURNAL_one","max_msgs":1}
default  ask  $JS.API.STREAM.DELETE.AR_JOURNAL_one
default  ask  $JS.API.STREAM.DELETE.AR_TASKS
default  ask  $JS.API.STREAM.DELETE.AR_RESULTS_one
default  ask  $JS.API.STREAM.PURGE.AR_JOURNAL_one
default  ask  $JS.API.STREAM.PURGE.OBJ_AR_ARTIFACTS
default  ask  $JS.API.STREAM.INFO.AR_JOURNAL_one
default  ask  $JS.API.STREAM.INFO.OBJ_AR_ARTIFACTS
default  ask  $JS.API.STREAM.MSG.GET.AR_JOURNAL_one {"seq":1}
default  ask  $JS.API.STREAM.MSG.GET.AR_RESULTS_one {"seq":1}
default  ask  $JS.API.STREAM.MSG.GET.KV_AR_STATE_one {"seq":1}
default  ask  $JS.API.STREAM.MSG.GET.OBJ_AR_ARTIFACTS {"seq":1}
default  ask  $JS.API.STREAM.MSG.DELETE.OBJ_AR_ARTIFACTS {"seq":1}
default  ask  $JS.API.DIRECT.GET.OBJ_AR_ARTIFACTS {"seq":1}
default  ask  $JS.API.DIRECT.GET.KV_AR_STATE_one.$KV.AR_STATE_one.meta
default  ask  $JS.API.CONSUMER.CREATE.AR_JOURNAL_one.c {"stream_name":"AR_JOURNAL_one","config":{"name":"c"}}
default  ask  $JS.API.CONSUMER.CREATE.OBJ_AR_ARTIFACTS.c {"stream_name":"OBJ_AR_ARTIFACTS","config":{"name":"c","deliver_subject":"ar.journal.one"}}
default  ask  $JS.API.CONSUMER.DELETE.AR_TASKS.cpu
default  ask  $JS.API.CONSUMER.INFO.AR_TASKS.cpu
default  hear _INBOX.>
default  hear _INBOX_spot.>
default  hear _INBOX_coordinator.>
default  hear ar.ctl.spot.w1
default  hear ar.ctl.>
default  hear ar.up.>
default  hear ar.result.>
default  hear ar.task.>
default  hear ar.journal.one
default  hear $KV.>
default  hear >
spot     ask  ar.result.two=2Eb.default.w1                  # another group's result
spot     ask  ar.result.one.spot.w1                         # a result of a run that it does not serve
spot     ask  $JS.API.CONSUMER.MSG.NEXT.AR_TASKS.cpu {"batch":1,"expires":1}
spot     ask  $JS.ACK.AR_TASKS.cpu.1.1.1.1.0
spot     ask  $JS.API.CONSUMER.MSG.NEXT.AR_TASKS.gpu=5Bzone=3Db=5D {"batch":1,"expires":1}   # labels that it was not given
spot     ask  $JS.API.DIRECT.GET.OBJ_AR_ARTIFACTS.CHUNK1    # another run's payload
spot     ask  ar.log.one.spot.w1.t.1.stdout                 # output of a run that it does not serve
spot     ask  $O.AR_OUTPUT_one.M.x
spot     ask  CHUNK1                                        # and to write one
spot     hear ar.ctl.default.*
operator ask  ar.journal.one
operator ask  ar.result.one.default.w1
operator ask  ar.task.cpu.one.t.1
operator ask  ar.ctl.all
operator ask  ar.up.w1
operator ask  $KV.AR_LEASE.one
operator ask  $KV.AR_STATE_one.meta
operator ask  $O.AR_ARTIFACTS.M.x
operator ask  $JS.autoresearch.API.STREAM.CREATE.MINE {"name":"MINE"}
operator ask  $JS.autoresearch.API.STREAM.DELETE.AR_JOURNAL_one
operator ask  $JS.autoresearch.API.STREAM.PURGE.AR_JOURNAL_one
operator ask  $JS.autoresearch.API.STREAM.UPDATE.AR_JOURNAL_one {"name":"AR_JOURNAL_one","max_msgs":1}
operator ask  $JS.autoresearch.API.STREAM.MSG.DELETE.AR_JOURNAL_one {"seq":1}
operator ask  $JS.autoresearch.API.CONSUMER.MSG.NEXT.AR_TASKS.cpu {"batch":1,"expires":1}
operator ask  $JS.autoresearch.API.CONSUMER.DELETE.AR_TASKS.cpu
operator ask  $JS.API.STREAM.INFO.AR_JOURNAL_one            # its place is another one
operator hear ar.>
operator hear _INBOX_default.>
coordinator ask  $JS.API.STREAM.SNAPSHOT.AR_JOURNAL_one {"deliver_subject":"x"}
coordinator ask  $JS.API.STREAM.RESTORE.AR_JOURNAL_one {}
coordinator ask  $JS.API.ACCOUNT.PURGE.autoresearch
coordinator ask  $SYS.REQ.SERVER.PING
coordinator hear _INBOX_default.>
coordinator hear _INBOX_operator.>
coordinator hear $SYS.>
coordinator hear >
`

// TestNobodyMayMoreThanHeNeeds tries each line, and sees that nothing has changed.
func TestNobodyMayMoreThanHeNeeds(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	before := c.marks()
	names := strings.NewReplacer("CHUNK1", chunkOne)
	for line := range strings.Lines(strings.TrimSpace(attempts)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.SplitN(strings.Join(strings.Fields(names.Replace(line)), " "), " ", 4)
		user, how, subject, body := userNamed(fields[0]), fields[1], fields[2], ""
		if len(fields) > 3 {
			body = fields[3]
		}
		var err error
		if how == "hear" {
			err = c.listen(user, subject)
		} else {
			err = c.ask(user, subject, body)
		}
		if !errors.Is(err, errDenied) {
			t.Errorf("%s may %s %s %s: %v", user, how, subject, body, err)
		}
	}
	if after := c.marks(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// userNamed is a user of the table, where groups go by their own names.
func userNamed(name string) string {
	if slices.Contains([]string{"operator", "coordinator"}, name) {
		return name
	}
	return User{Role: RoleWorker, Group: name}.Name()
}

// TestAnswersStayAtHome: what the server answers goes where the asker says, without a look at what he may. In an account of his
// own that harms nobody.
func TestAnswersStayAtHome(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	conn := c.conns["coordinator"]
	heard := make(chan spec.WorkerID, 100)
	stop, err := bus.NewUplinks(conn).Listen(func(from spec.WorkerID, _ bus.Uplink) { heard <- from })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := conn.RTT(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := c.marks()
	asks := map[string][]string{
		"worker-default": {"$JS.API.CONSUMER.MSG.NEXT.AR_TASKS.cpu", "$JS.API.DIRECT.GET.OBJ_AR_ARTIFACTS." + chunkTwo},
		"operator":       {"$JS.autoresearch.API.STREAM.INFO.AR_JOURNAL_one", "$JS.autoresearch.API.STREAM.MSG.GET.AR_JOURNAL_one"},
	}
	for user, subjects := range asks {
		for _, subject := range subjects {
			for _, target := range []string{
				"ar.journal.one", "ar.result.one.spot.w1", "ar.task.cpu.one.t.1", "$KV.AR_LEASE.one", "ar.up.spot.w1", "$KV.AR_STATE_one.meta",
			} {
				if err := c.tell(user, subject, target, `{"batch":1,"no_wait":true,"seq":1}`); err != nil {
					t.Errorf("%s asks %s: %v", user, subject, err)
				}
			}
			if err := c.ask(user, subject, `{"batch":1,"no_wait":true,"seq":1}`); errors.Is(err, errDenied) || errors.Is(err, errNobody) {
				t.Errorf("%s cannot ask %s at all: %v", user, subject, err) // and by now the answers before it have gone
			}
		}
	}
	if after := c.marks(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if len(heard) > 0 {
		t.Errorf("leaders heard %s", <-heard)
	}
}

// TestWorkersMayWork: all that a worker does, with its own credential.
func TestWorkersMayWork(t *testing.T) {
	t.Parallel()
	newCluster(t).workersWork()
}

func (c *cluster) workersWork() {
	t, leader := c.t, c.conns["coordinator"]
	t.Helper()
	for _, group := range []struct {
		user, class string
		id          spec.WorkerID
		run         spec.RunName
	}{{"worker-default", "cpu", "default/w.1", runOne}, {"worker-spot", "gpu", "spot/w1", runTwo}} {
		conn := c.conns[group.user]
		heard, told := make(chan spec.WorkerID, 1), make(chan spec.RunName, 10)
		stopLeader, err := bus.NewUplinks(leader).Listen(func(from spec.WorkerID, u bus.Uplink) {
			if bus.IsFrom(from, u.Worker) {
				heard <- u.Worker
			}
		})
		must(t, err)
		stopWorker, err := conn.ListenControl(group.id, func(a bus.Answer) { told <- a.Run })
		must(t, err)
		must(t, c.flush("coordinator"))
		must(t, c.flush(group.user))
		must(t, conn.SendUplink(&bus.Uplink{Worker: group.id}))
		if id := next(t, heard); id != group.id {
			t.Errorf("leaders hear %s", id)
		}
		must(t, bus.NewUplinks(leader).Answer(group.id, bus.Answer{Run: group.run}))
		must(t, bus.NewUplinks(leader).Hello(bus.Answer{Run: "hello"}))
		if one, other := next(t, told), next(t, told); min(one, other) != min(group.run, "hello") || max(one, other) != max(group.run, "hello") {
			t.Errorf("%s is told of %s and %s", group.id, one, other)
		}
		c.takesTask(group.user, group.class, group.run)
		c.takesTask(group.user, spec.ClassRequiring(group.class, map[string]string{"zone": "a"}), group.run)
		must(t, conn.PublishResult(t.Context(), group.run, group.id, &bus.ResultMessage{Worker: group.id}))
		c.usesObjects(conn, group.run)
		c.logs(conn, group.run, group.id)
		stopWorker()
		stopLeader()
	}
}

// takesTask pulls a task and acknowledges it, once.
func (c *cluster) takesTask(user, class string, run spec.RunName) {
	c.t.Helper()
	doorbell := bus.NewDoorbell(c.conns["coordinator"], bus.StreamOptions{}, func(subject string, err error) { c.t.Error(subject, err) })
	must(c.t, doorbell.Publish([]*bus.Dispatch{&bus.Dispatch{Run: run, Class: class, Task: spec.TaskSpec{ID: "t.1"}, Attempt: 1}}, false))
	puller := bus.NewPuller(c.conns[user], class, nil)
	tasks, err := puller.Pull(c.t.Context(), 10*time.Second)
	if err != nil || len(tasks) != 1 || tasks[0].Run != run {
		c.t.Fatalf("pulled %v, error %v", tasks, err)
	}
	must(c.t, puller.Close())
	left := func() uint64 {
		messages, _, err := bus.NewStream(c.conns["coordinator"], streamNamed(bus.StreamTasks)).Size(c.t.Context())
		must(c.t, err)
		return messages
	}
	for end := time.Now().Add(10 * time.Second); left() != 0; {
		if time.Now().After(end) {
			c.t.Fatal("the task was not acknowledged")
		}
	}
}

func (c *cluster) usesObjects(conn *bus.Conn, run spec.RunName) {
	c.t.Helper()
	objects, payload := bus.NewWorkerObjects(conn, run, bus.StreamOptions{}), payloadOf(run)
	got, err := objects.Get(c.t.Context(), spec.BlobOf(payload), int64(len(payload)))
	if err != nil || !bytes.Equal(got, payload) {
		c.t.Fatalf("got %d bytes, error %v", len(got), err)
	}
	leader, result := c.conns["coordinator"], []byte(strings.Repeat("result of "+string(run), 30_000))
	for worker, leader := range map[bus.Objects]bus.Objects{
		objects: bus.NewObjects(leader, run, bus.StreamOptions{}),
		bus.NewWorkerOutput(conn, run, bus.StreamOptions{}): bus.NewOutput(leader, run, bus.StreamOptions{}),
	} {
		must(c.t, leader.Ensure(c.t.Context()))
		blob, err := worker.Put(c.t.Context(), result)
		must(c.t, err)
		if got, err = leader.Get(c.t.Context(), blob, blob.Size); err != nil || !bytes.Equal(got, result) {
			c.t.Fatalf("the leader got %d bytes, error %v", len(got), err)
		}
	}
}

// logs publishes a piece of an attempt's output, which readers find with its worker.
func (c *cluster) logs(conn *bus.Conn, run spec.RunName, id spec.WorkerID) {
	c.t.Helper()
	logs := bus.NewLogs(c.conns["coordinator"], run, bus.StreamOptions{})
	must(c.t, logs.Ensure(c.t.Context()))
	must(c.t, conn.PublishLog(c.t.Context(), run, id, "t.1", 1, bus.LogHead, &bus.LogMessage{}))
	var from []spec.WorkerID
	must(c.t, logs.Read(c.t.Context(), "t.1", 1, 0, func(_ uint64, id spec.WorkerID, _ *bus.LogMessage) error {
		from = append(from, id)
		return nil
	}))
	if len(from) != 1 || from[0] != id {
		c.t.Errorf("output of %s is read as of %v", id, from)
	}
}

// TestCoordinatorsMayLead: what newCluster does, and all else that leading takes.
func TestCoordinatorsMayLead(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	conn, ctx := c.conns["coordinator"], t.Context()
	uplinks := bus.NewUplinks(conn)
	stop, err := uplinks.Lead(runOne)
	must(t, err)
	must(t, uplinks.Ping(ctx, runOne))
	stop()
	lease := kv.NewLease(conn, kv.LeaseOptions{TTL: time.Minute})
	_, revision, held, err := lease.Holder(ctx, runOne)
	if err != nil || !held {
		t.Fatalf("the lease is held: %v, %v", held, err)
	}
	must(t, lease.Release(ctx, runOne, revision))
	runs := kv.NewRuns(conn, 1)
	must(t, runs.Ensure(ctx))
	files := bus.NewFiles(conn, bus.StreamOptions{})
	must(t, files.Put(ctx, runTwo, bytes.NewReader(payloadOf(runTwo))))
	kept, err := files.Get(ctx, runTwo)
	must(t, err)
	text, err := io.ReadAll(kept)
	if err = errors.Join(err, kept.Close()); err != nil || !bytes.Equal(text, payloadOf(runTwo)) {
		t.Fatalf("got %d bytes, error %v", len(text), err)
	}
	must(t, conn.DeleteRun(ctx, runTwo, bus.StreamOptions{}))
	_, err = bus.NewJournal(conn, runTwo, bus.StreamOptions{}).Bounds(ctx)
	if !errors.Is(err, bus.ErrMissing) {
		t.Errorf("the deleted run: %v", err)
	}
	if len(c.wrong["coordinator"]) > 0 {
		t.Error(<-c.wrong["coordinator"])
	}
}

// TestOperatorsMayRead: all that the commands on --nats read.
func TestOperatorsMayRead(t *testing.T) {
	t.Parallel()
	newCluster(t).operatorReads()
}

func (c *cluster) operatorReads() {
	t, conn, ctx := c.t, c.conns["operator"], c.t.Context()
	t.Helper()
	records := 0
	must(t, bus.NewJournal(conn, runOne, bus.StreamOptions{}).Read(ctx, 1, func(uint64, []byte) error { records++; return nil }))
	_, err := kv.NewMirror(conn, runOne, bus.StreamOptions{}).Load(ctx, func(string, []byte) error { records++; return nil })
	must(t, err)
	must(t, bus.NewRejects(conn, runOne, bus.StreamOptions{}).List(ctx, func(uint64, *bus.Rejected) error { records++; return nil }))
	_, err = conn.ReadResults(ctx, runOne, func(uint64, []byte) error { return nil })
	must(t, err)
	if records != 3 {
		t.Errorf("read %d records", records)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func next[T any](t *testing.T, values <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-values:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
	return value
}
