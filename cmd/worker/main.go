// Command worker runs experiments that coordinators dispatch, in slots of one or more classes.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

func main() { os.Exit(cli.Main(command())) }

// options are the command's flags.
type options struct {
	dir, class, http string
	group            string
	slots            []string
	gpus             worker.GPUSlots
	labels           []string
	heartbeat, grace time.Duration
	drain            time.Duration
	memory           string
	breaker          int
	checkpoints      string
	keepAttempts     time.Duration
	keepCheckpoints  time.Duration
	limits           spec.ProcessLimits
	codeCache        string
	artifact         string
	artifacts        string
	artifactFiles    int
	keepTimeout      time.Duration
	nats             cli.NATSFlags
	log              cli.LogFlags
}

func command() *cobra.Command {
	o := options{nats: cli.NATSFlags{URL: bus.URLDefault}}
	cmd := &cobra.Command{
		Use:   "worker --dir DIR [--slots auto | --slots N | --slots CLASS=N ...] [flags]",
		Short: "Run experiments",
		Long: `Run the experiments that coordinators dispatch to the classes of this worker. It needs no workflow file: what to run
comes with each task. Results are kept on disk until a coordinator has receipted them.

--slots auto makes a slot of each GPU that nvidia-smi shows, or of --gpus-per-slot of them. An experiment sees its slot's GPUs
and no others (CUDA_VISIBLE_DEVICES). When it has ended, they must be free of processes and have their memory back before
they are offered again; GPUs that stay in use, have uncorrected ECC errors or do not answer are quarantined until they are
fit. On a machine without GPUs, auto makes a slot of each processor.

SIGTERM once: nothing new is taken; what runs may finish within --drain-timeout and is then stopped and handed back. Twice:
at once.`,
		Example: `  worker --nats nats://10.0.0.5:4222 --dir /scratch/ar --slots 4
  worker --nats nats://10.0.0.5:4222 --dir /scratch/ar --slots cpu=16 --slots render=2 --drain-timeout 10m
  worker --nats nats://10.0.0.5:4222 --dir /scratch/ar --slots auto --class h100x1
  worker --nats nats://10.0.0.5:4222 --dir /scratch/ar --slots auto --gpus-per-slot 4 --class h100x4 --slots cpu=8`,
		Version: cli.Version(),
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), &o) },
	}
	cmd.AddCommand(installCommand())
	fs := cmd.Flags()
	fs.StringVar(&o.dir, "dir", "", "`DIR` for this worker's identity, kept results and attempts' files; one worker each (required)")
	fs.StringVar(&o.class, "class", spec.ClassDefault, "`NAME` of the class that --slots N and --slots auto belong to")
	fs.StringVar(&o.group, "group", "", "`NAME` of the group that the credential belongs to (default: what the file of --nats-nkey says)")
	fs.StringSliceVar(&o.slots, "slots", []string{"1"}, "slots: `N`, auto (one for each GPU), or CLASS=N; repeatable")
	fs.IntVar(&o.gpus.PerSlot, "gpus-per-slot", 0, "`N` GPUs for each slot of --class, which then must be there (default with auto: 1)")
	fs.DurationVar(&o.gpus.Release, "gpu-release", worker.GPUReleaseDefault,
		"how long the GPUs of an ended experiment may stay in use before they are quarantined")
	fs.DurationVar(&o.gpus.Timeout, "gpu-timeout", worker.GPUTimeoutDefault, "how long nvidia-smi may take to answer")
	fs.StringSliceVar(&o.labels, "label", nil, "a `NAME=VALUE` that kinds may require, as zone=a; repeatable")
	fs.DurationVar(&o.heartbeat, "heartbeat", worker.HeartbeatDefault, "time between heartbeats")
	fs.DurationVar(&o.grace, "grace", worker.GraceDefault, "time between SIGTERM and SIGKILL for experiments that name none")
	fs.DurationVar(&o.drain, "drain-timeout", 0, "how long experiments may go on after SIGTERM")
	fs.IntVar(&o.breaker, "breaker", worker.BreakerDefault,
		"take no more for a while once `N` tasks in a row have failed in the same way; 0: never")
	fs.StringVar(&o.memory, "limit-memory", "", "address space `SIZE` of each process of an experiment, as 16GiB; empty: no limit")
	fs.IntVar(&o.limits.OpenFiles, "limit-open-files", 0, "how many files each process of an experiment may open; 0: no limit")
	fs.DurationVar(&o.limits.CPU, "limit-cpu", 0, "processor time of each process of an experiment; 0: no limit")
	fs.StringVar(&o.checkpoints, "checkpoint-root", "",
		"`DIR` that workers share for checkpoints: the next attempt finds the last one's wherever it runs")
	fs.DurationVar(&o.keepAttempts, "keep-attempts", worker.KeepAttemptsDefault,
		"how long attempts' directories are kept after their last change; negative: for ever")
	fs.DurationVar(&o.keepCheckpoints, "keep-checkpoints", worker.KeepCheckpointsDefault,
		"the same below --checkpoint-root, for runs that do not say it; longer than a task may wait between two attempts")
	fs.StringVar(&o.codeCache, "code-cache", spec.FormatSize(worker.CodeCacheDefault),
		"keep source trees that experiments bring up to `SIZE` in all; what was not used for the longest time goes first")
	fs.StringVar(&o.artifact, "artifact-max", spec.FormatSize(spec.ArtifactBytesDefault), "keep files that experiments leave up to `SIZE` each")
	fs.StringVar(&o.artifacts, "artifacts-max", spec.FormatSize(spec.ArtifactsBytesDefault), "and up to `SIZE` of one attempt")
	fs.IntVar(&o.artifactFiles, "artifacts-files", spec.ArtifactsDefault, "and at most `N` of one attempt; 0: none")
	fs.DurationVar(&o.keepTimeout, "keep-timeout", worker.KeepTimeoutDefault, "how long a result waits until they are stored")
	fs.StringVar(&o.http, "http", "", "serve /healthz, /readyz and /metrics on `ADDR`")
	o.nats.Add(fs)
	o.log.Add(fs)
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err)
	}
	return cmd
}

func run(parent context.Context, o *options) error {
	ctx, signals := cli.NotifySignals(parent)
	defer signals.Stop()
	slots, gpus, err := o.room()
	if err != nil {
		return cli.Exit(cli.ExitUsage, err)
	}
	if err := checkLabels(o.labels); err != nil {
		return cli.Exit(cli.ExitUsage, err)
	}
	if o.memory != "" {
		if o.limits.Memory, err = spec.ParseSize(o.memory); err != nil {
			return cli.Exit(cli.ExitUsage, fmt.Errorf("--limit-memory: %w", err))
		}
	}
	codeCache, err := spec.ParseSize(o.codeCache)
	if err != nil {
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--code-cache: %w", err))
	}
	artifact, artifacts, err := o.artifactSizes()
	if err != nil {
		return cli.Exit(cli.ExitUsage, err)
	}
	log, err := o.log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	options := o.nats.Options("autoresearch worker", log)
	options.Retry = true
	err = worker.Run(ctx, worker.Options{
		Bus: options, Dir: o.dir, Group: cmp.Or(o.group, o.nats.Group()), Slots: slots, GPUs: gpus, Labels: o.labels, Heartbeat: o.heartbeat, Grace: o.grace,
		DrainTimeout: o.drain, Kill: signals.Kill, HTTPAddr: o.http, Logger: log,
		CheckpointRoot: o.checkpoints, KeepAttempts: o.keepAttempts, KeepCheckpoints: o.keepCheckpoints,
		Breaker: cmp.Or(o.breaker, -1), Limits: o.limits,
		CodeCache:     cmp.Or(codeCache, -1),
		ArtifactBytes: artifact, ArtifactsBytes: artifacts, Artifacts: cmp.Or(o.artifactFiles, -1), KeepTimeout: o.keepTimeout,
	})
	if errors.Is(err, worker.ErrKilled) {
		return cli.Exit(signals.Code(), nil)
	}
	return err
}

// artifactSizes are the limits of one file and of all that an attempt leaves.
func (o *options) artifactSizes() (one, all int64, err error) {
	if one, err = spec.ParseSize(o.artifact); err != nil {
		return 0, 0, fmt.Errorf("--artifact-max: %w", err)
	}
	if all, err = spec.ParseSize(o.artifacts); err != nil {
		return 0, 0, fmt.Errorf("--artifacts-max: %w", err)
	}
	return one, all, nil
}
