package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"
)

// How asynq is set. Its documents name no numbers for the highest rate: of 16, 64, 128 and 256 handlers, and as many
// callers of a client that submits one task a call, these were the fastest on two cores.
var asynqHandlers = map[Durability]int{EverySecond: 64, Always: 16}

const (
	asynqKind  = "noop"
	asynqQueue = "default"
	// asynqRetention keeps completed tasks with their results, as the others do.
	asynqRetention = time.Hour
	// asynqPoll is how long asynq waits between looks at an empty queue; its default is a second.
	asynqPoll = 10 * time.Millisecond
)

// redisFsync is Redis's word for a durability.
var redisFsync = map[Durability]string{EverySecond: "everysec", Always: "always"}

// asynqSystem is asynq on a Redis of its own.
type asynqSystem struct {
	durability Durability
	redis      *server
	inspector  *asynq.Inspector
}

func openAsynq(d Durability) opener {
	return func(ctx context.Context, dir string) (system, error) {
		redis, err := startRedis(ctx, filepath.Join(dir, "redis-"+redisFsync[d]), d)
		if err != nil {
			return nil, err
		}
		inspector := asynq.NewInspector(asynq.RedisClientOpt{Addr: redis.address})
		return &asynqSystem{durability: d, redis: redis, inspector: inspector}, nil
	}
}

// do implements system.
func (a *asynqSystem) do(ctx context.Context, tasks int) (_ time.Duration, err error) {
	// A client announces a queue once, so one that outlives the queue would leave the next without a name.
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: a.redis.address})
	defer func() { err = errors.Join(err, client.Close()) }()
	var handled atomic.Int64
	last := make(chan struct{})
	worker := asynq.NewServer(asynq.RedisClientOpt{Addr: a.redis.address}, asynq.Config{
		Concurrency: asynqHandlers[a.durability], LogLevel: asynq.ErrorLevel, TaskCheckInterval: asynqPoll,
	})
	err = worker.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		_, err := t.ResultWriter().Write(result)
		if handled.Add(1) == int64(tasks) {
			close(last)
		}
		return err
	}))
	if err != nil {
		return 0, fmt.Errorf("start the asynq worker: %w", err)
	}
	defer worker.Shutdown()
	began := time.Now()
	if err := a.submit(ctx, client, tasks); err != nil {
		return 0, err
	}
	select {
	case <-last:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := a.completed(ctx, tasks); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

func (a *asynqSystem) submit(ctx context.Context, client *asynq.Client, tasks int) error {
	callers, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range asynqHandlers[a.durability] {
		callers.Go(func() error {
			for i := next.Add(1); i <= int64(tasks); i = next.Add(1) {
				task := asynq.NewTask(asynqKind, payload(int(i)))
				if _, err := client.EnqueueContext(ctx, task, asynq.Retention(asynqRetention)); err != nil {
					return fmt.Errorf("enqueue task %d: %w", i, err)
				}
			}
			return nil
		})
	}
	return callers.Wait()
}

// completed waits until Redis has all tasks as completed.
func (a *asynqSystem) completed(ctx context.Context, tasks int) error {
	for {
		queue, err := a.inspector.GetQueueInfo(asynqQueue)
		if err != nil {
			return fmt.Errorf("look up the queue: %w", err)
		}
		if queue.Completed >= tasks {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// clear implements system.
func (a *asynqSystem) clear(context.Context) error {
	if err := a.inspector.DeleteQueue(asynqQueue, true); err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		return fmt.Errorf("empty the queue: %w", err)
	}
	return nil
}

// close implements system.
func (a *asynqSystem) close() error {
	return errors.Join(a.inspector.Close(), a.redis.stop())
}

// describe implements system.
func (a *asynqSystem) describe() (name string, d Durability, settings string) {
	settings = fmt.Sprintf("Redis appendonly yes, appendfsync %s; %d handlers, as many callers", redisFsync[a.durability],
		asynqHandlers[a.durability])
	return "asynq " + versionOf("github.com/hibiken/asynq"), a.durability, settings
}
