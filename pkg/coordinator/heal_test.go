package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// TestStreamsThatVanishHeal spoils each stream that can be made again in the middle of a run, in every way an operator can:
// the run comes to its end by itself.
func TestStreamsThatVanishHeal(t *testing.T) {
	t.Parallel()
	ways := map[string]func(context.Context, *world, string) error{
		"deleted": func(ctx context.Context, w *world, stream string) error {
			return w.api(ctx, "STREAM.DELETE", stream, "")
		},
		"purged": func(ctx context.Context, w *world, stream string) error {
			return w.api(ctx, "STREAM.PURGE", stream, "")
		},
		"made anew by hand": func(ctx context.Context, w *world, stream string) error {
			config := w.config(ctx, stream)
			config["max_msgs"], config["description"] = 1000, "somebody else's"
			delete(config, "discard_new_per_subject")
			if err := w.api(ctx, "STREAM.DELETE", stream, ""); err != nil {
				return err
			}
			if err := w.api(ctx, "STREAM.CREATE", stream, encode(config)); err != nil && !strings.Contains(err.Error(), "already in use") {
				return err // else the leader was faster
			}
			return nil
		},
	}
	for _, stream := range []string{bus.StreamTasks, bus.ResultsStream("test"), "KV_" + bus.BucketLease} {
		for way, spoil := range ways {
			t.Run(stream+" "+way, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				wf := newTree(2, 6)
				var ran atomic.Int64
				w.work(4, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
					if ran.Add(1) == 20 {
						if err := spoil(ctx, w, stream); err != nil {
							t.Errorf("%s: %v", way, err)
						}
					}
					return wf.grow(ctx, a)
				})
				c := w.coordinate(wf, func(o *Options) { o.ExitWhenStopped = false })
				eventually(t, "all is done", func() bool { s, err := c.Status(); return err == nil && s.Counts.Completed == wf.size() })
				eventually(t, "it holds its lease", func() bool {
					h, _, held, err := c.ports.lease.Holder(t.Context(), w.run)
					return err == nil && held && h.ID == c.id
				})
				if s, err := c.Status(); err != nil || s.Epoch != 1 {
					t.Errorf("it went on in epoch %d, %v", s.Epoch, err)
				}
			})
		}
	}
}

// TestStalledConsumer stops a class's consumer from delivering: the leader notices that nobody picks its tasks up, and
// makes the consumer anew.
func TestStalledConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(2, 3)
	var ran atomic.Int64
	w.work(4, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		if ran.Add(1) == 3 {
			until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			if err := w.api(ctx, "CONSUMER.PAUSE", bus.StreamTasks+"."+bus.ClassConsumer(spec.ClassDefault), `{"pause_until":"`+until+`"}`); err != nil {
				t.Errorf("pause the consumer: %v", err)
			}
		}
		return wf.grow(ctx, a)
	})
	end := w.coordinate(wf, func(o *Options) { o.LeaseTTL = 20 * time.Second }).wait(t)
	if end.err != nil || end.status.Counts.Completed != wf.size() {
		t.Fatalf("ended with %+v, %v; want %d completed", end.status, end.err, wf.size())
	}
	if lost := end.status.Counts.Lost; lost != 0 {
		t.Errorf("%d attempts were lost", lost)
	}
}

// TestMirrorThatVanishesHeals removes the mirror in the middle of a run, in every way an operator can: it is written anew,
// whole, while the run goes on.
func TestMirrorThatVanishesHeals(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(context.Context, *world) error{
		"deleted": func(ctx context.Context, w *world) error { return w.api(ctx, "STREAM.DELETE", w.mirrorStream(), "") },
		"purged":  func(ctx context.Context, w *world) error { return w.api(ctx, "STREAM.PURGE", w.mirrorStream(), "") },
		"a key deleted": func(ctx context.Context, w *world) error {
			return w.api(ctx, "STREAM.PURGE", w.mirrorStream(), `{"filter":"$KV.`+bus.StateBucket(w.run)+`.`+kv.TaskKey("r")+`"}`)
		},
		"configured otherwise": func(ctx context.Context, w *world) error {
			name := bus.StateBucket(w.run)
			return w.api(ctx, "STREAM.UPDATE", w.mirrorStream(), `{"name":"KV_`+name+`","subjects":["$KV.`+name+`.>"],"max_msgs_per_subject":1,"deny_delete":true}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wf := newTree(2, 3)
			w.work(4, wf.grow)
			c := w.coordinate(wf, func(o *Options) { o.ExitWhenStopped = false })
			eventually(t, "the mirror has followed", func() bool { return w.mirrored() == wf.size() })
			if err := spoil(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Submit(t.Context(), []spec.TaskSpec{task("afterwards")}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the mirror has everything again", func() bool { return w.mirrored() == wf.size()+1 })
			c.cancel()
			if end := c.wait(t); end.err != nil {
				t.Fatal(end.err)
			}
			w.checkStored(wf.size() + 1)
		})
	}
}

// mirrored returns how many finished tasks a whole mirror holds; 0 when it is not whole.
func (w *world) mirrored() int {
	tasks, meta := 0, &bus.MirrorMeta{}
	_, err := kv.NewMirror(w.conn, w.run, bus.StreamOptions{}).Load(w.t.Context(), func(key string, value []byte) (err error) {
		if key == kv.KeyMeta {
			meta, err = bus.DecodeMirrorMeta(value)
			return err
		}
		v, err := bus.DecodeMirrorValue(value)
		if err == nil && v.Task.State.Terminal() {
			tasks++
		}
		return err
	})
	if err != nil || uint64(tasks) != meta.Tasks {
		return 0
	}
	return tasks
}

func (w *world) mirrorStream() string { return "KV_" + bus.StateBucket(w.run) }

// config returns a stream's configuration.
func (w *world) config(ctx context.Context, stream string) map[string]any {
	answer, err := w.conn.NATS().RequestWithContext(ctx, "$JS.API.STREAM.INFO."+stream, nil)
	var info struct{ Config map[string]any }
	if err == nil {
		err = json.Unmarshal(answer.Data, &info)
	}
	if err != nil {
		w.t.Errorf("look at %s: %v", stream, err)
	}
	return info.Config
}

func encode(config map[string]any) string {
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(text)
}

// api asks JetStream to do something with a stream.
func (w *world) api(ctx context.Context, what, stream, body string) error {
	answer, err := w.conn.NATS().RequestWithContext(ctx, "$JS.API."+what+"."+stream, []byte(body))
	if err == nil && strings.Contains(string(answer.Data), `"error"`) {
		err = errors.New(string(answer.Data))
	}
	return err
}
