package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"autoresearch/internal/cli"
	"autoresearch/internal/runs"
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
	return o.within(ctx, log, func(s *shell) error {
		server := runs.New(runs.Options{
			Conn: s.conn, Workdir: o.workdir, Factories: cli.Registry(), Site: s.site, Log: log, Common: o.common(s),
		})
		s.site.SetRegistry(server)
		s.site.SetPages(server.Handler(s.registry))
		log.Info("serving every run that is registered", "nats", cmp.Or(o.listen.Address, o.nats.URL), "workdir", o.workdir)
		return server.Run(ctx)
	})
}
