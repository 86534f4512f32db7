package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"autoresearch/internal/cli"
	"autoresearch/internal/runs"
	"autoresearch/internal/web"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/snapshot"
)

// check decides whether one run is led or all that are registered, and refuses what only means something for the other.
func (o *options) check() error {
	_, err := snapshot.ReadFactory(o.workdir)
	remembers := o.workdir != "" && err == nil
	o.many = o.workflow == "" && !remembers
	switch {
	case !o.many && o.workdir == "":
		return cli.Exit(cli.ExitUsage, errors.New("--workflow needs --workdir DIR"))
	case o.many && (o.run != "" || o.maxConcurrency != 0 || o.adopt || o.ignore || o.exit || len(o.argv) > 0):
		return cli.Exit(cli.ExitUsage, errors.New("--run, --max-concurrency, --adopt-edits, --ignore-edits, --exit-when-stopped and "+
			"arguments after -- are of one run: name its --workflow; a registered run has its own (autoresearch run create)"))
	case o.many && o.listen.Address != "" && o.workdir == "":
		return cli.Exit(cli.ExitUsage, errors.New("--listen keeps what NATS stores in the workdir: name one with --workdir DIR"))
	}
	return nil
}

func (o *options) start(ctx context.Context) error {
	if err := o.retention.Check(); err != nil {
		return err
	}
	if o.many {
		return runAll(ctx, o)
	}
	return run(ctx, o)
}

// runAll leads every run that is registered.
func runAll(ctx context.Context, o *options) (err error) {
	log, err := o.log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if o.workdir == "" {
		if o.workdir, err = os.MkdirTemp("", "autoresearch-runs-"); err != nil {
			return fmt.Errorf("a temporary workdir: %w; name one with --workdir DIR", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.workdir)) }()
	}
	lock, err := snapshot.Lock(o.workdir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	site, err := web.Open(ctx, o.http, o.workdir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Close()) }()
	conn, stopServer, err := o.connect(ctx, log)
	if ctx.Err() != nil && err != nil {
		return nil // told to end while it waited
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(), stopServer()) }()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	server := runs.New(runs.Options{
		Conn: conn, Workdir: o.workdir, Factories: cli.Registry(), Site: site, Log: log,
		Common: coordinator.Options{
			Limits: o.limits.Limits, MaxLost: o.limits.MaxLost, Breaker: o.limits.Breaker(), Registerer: registry,
			Streams: o.retention.Streams(bus.StreamOptions{Replicas: o.replicas}), HTTP: site.URL(),
		},
	})
	site.SetRegistry(server)
	site.SetPages(server.Handler(registry))
	log.Info("serving every run that is registered", "nats", cmp.Or(o.listen.Address, o.nats.URL), "workdir", o.workdir)
	return server.Run(ctx)
}
