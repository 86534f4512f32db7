package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// How River is set: as its own benchmark is (river bench), which says that these numbers perform much better than the
// defaults, and with the fastest of its ways to insert.
const (
	riverFetchCooldown = 2 * time.Millisecond
	riverFetchPoll     = 20 * time.Millisecond
	riverWorkers       = 2_000
	riverInsertChunk   = 5_000
)

// riverSystem is River on a PostgreSQL of its own.
type riverSystem struct {
	postgres *server
	pool     *pgxpool.Pool
}

func openRiver(ctx context.Context, dir string) (_ system, err error) {
	r := &riverSystem{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.postgres, err = startPostgres(ctx, filepath.Join(dir, "postgres")); err != nil {
		return nil, err
	}
	url := fmt.Sprintf("postgres://bench@%s/postgres?sslmode=disable", r.postgres.address)
	if r.pool, err = pgxpool.New(ctx, url); err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if err := awaitPing(ctx, r.pool); err != nil {
		return nil, err
	}
	if err := r.migrate(ctx, rivermigrate.DirectionUp, 0); err != nil {
		return nil, err
	}
	return r, nil
}

// migrate makes River's tables, or removes them when target is -1.
func (r *riverSystem) migrate(ctx context.Context, direction rivermigrate.Direction, target int) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(r.pool), &rivermigrate.Config{Logger: riverLog})
	if err != nil {
		return fmt.Errorf("tables of River: %w", err)
	}
	if _, err := migrator.Migrate(ctx, direction, &rivermigrate.MigrateOpts{TargetVersion: target}); err != nil {
		return fmt.Errorf("migrate River's tables %s: %w", direction, err)
	}
	return nil
}

// awaitPing returns once PostgreSQL takes connections: its port answers a little earlier.
func awaitPing(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := pool.Ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(readyPoll):
		case <-ctx.Done():
			return fmt.Errorf("reach PostgreSQL: %w", err)
		}
	}
}

// riverLog hears nothing.
var riverLog = slog.New(slog.DiscardHandler)

// noopArgs are a job's arguments.
type noopArgs struct {
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

// Kind implements river.JobArgs.
func (noopArgs) Kind() string { return "noop" }

type noopWorker struct{ river.WorkerDefaults[noopArgs] }

// Work implements river.Worker.
func (noopWorker) Work(ctx context.Context, _ *river.Job[noopArgs]) error {
	return river.RecordOutput(ctx, resultObject)
}

// do implements system.
func (r *riverSystem) do(ctx context.Context, tasks int) (_ time.Duration, err error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, noopWorker{})
	client, err := river.NewClient(riverpgxv5.New(r.pool), &river.Config{
		FetchCooldown: riverFetchCooldown, FetchPollInterval: riverFetchPoll, Logger: riverLog, Workers: workers,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: riverWorkers}},
	})
	if err != nil {
		return 0, fmt.Errorf("client of River: %w", err)
	}
	completed, unsubscribe := client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: tasks, Kinds: []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed},
	})
	defer unsubscribe()
	if err := client.Start(ctx); err != nil {
		return 0, fmt.Errorf("start River: %w", err)
	}
	defer func() { err = errors.Join(err, client.Stop(context.WithoutCancel(ctx))) }()
	began := time.Now()
	if err := submitRiver(ctx, client, tasks); err != nil {
		return 0, err
	}
	for range tasks {
		select {
		case event := <-completed:
			if event.Kind != river.EventKindJobCompleted {
				return 0, fmt.Errorf("job %d failed", event.Job.ID)
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return time.Since(began), nil
}

func submitRiver(ctx context.Context, client *river.Client[pgx.Tx], tasks int) error {
	for first := 1; first <= tasks; first += riverInsertChunk {
		jobs := make([]river.InsertManyParams, 0, riverInsertChunk)
		for i := first; i < min(tasks+1, first+riverInsertChunk); i++ {
			jobs = append(jobs, river.InsertManyParams{Args: noopArgs{N: i, Pad: padding(i)}})
		}
		if _, err := client.InsertManyFast(ctx, jobs); err != nil {
			return fmt.Errorf("insert jobs from %d on: %w", first, err)
		}
	}
	return nil
}

// clear implements system. The tables are made anew: of one that was emptied PostgreSQL believes that it stays empty, and chooses plans
// that make River thirty times slower.
func (r *riverSystem) clear(ctx context.Context) error {
	if err := r.migrate(ctx, rivermigrate.DirectionDown, -1); err != nil {
		return err
	}
	r.pool.Reset() // statements that were prepared for the old tables
	return r.migrate(ctx, rivermigrate.DirectionUp, 0)
}

// close implements system.
func (r *riverSystem) close() error {
	if r.pool != nil {
		r.pool.Close()
	}
	if r.postgres == nil {
		return nil
	}
	return r.postgres.stop()
}

// describe implements system.
func (r *riverSystem) describe() (name string, d Durability, settings string) {
	return "River " + versionOf("github.com/riverqueue/river"), Always, fmt.Sprintf(
		"PostgreSQL with default settings (fsync, synchronous_commit on); %d workers, fetch cooldown %v, InsertManyFast of %d",
		riverWorkers, riverFetchCooldown, riverInsertChunk)
}
