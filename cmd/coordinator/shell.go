package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"autoresearch/internal/web"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
)

// shell is what surrounds the runs that are led.
type shell struct {
	log      *slog.Logger
	site     *web.Site
	conn     *bus.Conn
	registry *prometheus.Registry
}

// within opens the shell, calls f, and closes it. When ctx ends while it waits for NATS, f is not called.
func (o *options) within(ctx context.Context, log *slog.Logger, f func(*shell) error) (err error) {
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
	return f(&shell{log: log, site: site, conn: conn, registry: registry})
}

// common are the options of every run that is led.
func (o *options) common(s *shell) coordinator.Options {
	return coordinator.Options{
		Conn: s.conn, HTTP: s.site.URL(), Logger: s.log, Registerer: s.registry, Streams: o.retention.Streams(bus.StreamOptions{Replicas: o.replicas}),
		KeepCheckpoints: o.retention.Checkpoints(), KeepCode: o.retention.Code(), Limits: o.limits.Limits, MaxLost: o.limits.MaxLost, Breaker: o.limits.Breaker(), PurgeJournalAbove: o.limits.PurgeJournalAbove,
	}
}

// connect reaches the server of --nats, or starts the one of --listen.
func (o *options) connect(ctx context.Context, log *slog.Logger) (*bus.Conn, func() error, error) {
	none := func() error { return nil }
	if o.listen.Address == "" {
		options := o.nats.Options("autoresearch coordinator", log)
		options.Retry = true
		conn, err := bus.Connect(ctx, options)
		return conn, none, err
	}
	server, err := o.listen.Start(filepath.Join(o.workdir, "engine", "nats"), log)
	if err != nil {
		return nil, none, err
	}
	conn, err := server.Connect(ctx, "autoresearch coordinator")
	if err != nil {
		return nil, none, errors.Join(err, server.Shutdown())
	}
	return conn, server.Shutdown, nil
}
