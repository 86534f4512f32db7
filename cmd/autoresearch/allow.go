package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// allowanceFlags say what may be spent.
type allowanceFlags struct{ api.Limits }

func (f *allowanceFlags) addLimits(fs *pflag.FlagSet, whose string) {
	fs.IntVar(&f.MaxExperiments, "max-experiments", 0, whose+"at most `N` experiments begin")
	fs.Float64Var(&f.MaxGPUHours, "max-gpu-hours", 0, whose+"at most `H` GPU-hours are spent")
	fs.Float64Var(&f.MaxCost, "max-cost", 0, whose+"at most `C` is spent, by the prices of the workflow and as results report it")
}

// check refuses what is no allowance.
func (f *allowanceFlags) check() error {
	if f.MaxExperiments < 0 || f.MaxGPUHours < 0 || f.MaxCost < 0 {
		return cli.Exit(cli.ExitUsage, errors.New("a limit is a number above 0; leave its flag out where there is none"))
	}
	return nil
}

// field is the allowance as a task has it; ok is false where nothing is limited.
func (f *allowanceFlags) field() (field spec.Field, ok bool, err error) {
	cost, err := spec.CostOf(f.MaxCost)
	if err == nil {
		err = f.check()
	}
	a := spec.Allowance{Experiments: f.MaxExperiments, GPUTime: time.Duration(f.MaxGPUHours * float64(time.Hour)), Cost: cost}
	return a.Field(), !a.IsZero(), err
}

// allowOptions are the flags of the allow command.
type allowOptions struct {
	controlling
	allowanceFlags
	duration time.Duration
	reset    bool
}

func allowCommand() *cobra.Command {
	var o allowOptions
	cmd := &cobra.Command{
		Use:   "allow [TASK]",
		Short: "Set what the run, or a task with all its descendants, may spend",
		Long: `Set what the run may spend, or a task with all its descendants, together. What is not named is as the workflow or the task
says. Nothing that runs is stopped; what waits because all was spent goes on where more is allowed.

Only a task that was submitted with an allowance has one: autoresearch submit --max-cost 50.`,
		Example: `  autoresearch allow --max-gpu-hours 200 -m "the grant was extended"
  autoresearch allow idea-7 --max-cost 80 --server runs/demo
  autoresearch allow idea-7 --as-configured`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := o.request(first(args))
			if err != nil {
				return err
			}
			return o.control(cmd, "", func(ctx context.Context, s *session) (api.Run, error) {
				return s.SetAllowance(ctx, s.run, request, o.version)
			})
		},
	}
	o.addLimits(cmd.Flags(), "")
	cmd.Flags().DurationVar(&o.duration, "max-duration", 0, "of a run: it is active for at most `D`, as 2h")
	cmd.Flags().BoolVar(&o.reset, "as-configured", false, "return to what the workflow or the task says")
	o.add(cmd)
	o.addVersion(cmd)
	return cmd
}

func (o *allowOptions) request(task string) (api.AllowanceRequest, error) {
	request := api.AllowanceRequest{Task: spec.TaskID(task), Limits: o.Limits, Reason: o.reason}
	request.MaxDurationSeconds = o.duration.Seconds()
	if o.reset == (request.Limits != api.Limits{}) {
		return request, cli.Exit(cli.ExitUsage, errors.New("name what may be spent (--max-cost, --max-gpu-hours, --max-experiments), or --as-configured"))
	}
	return request, o.check()
}
