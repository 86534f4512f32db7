package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/pkg/api"
)

// What a shell completes is asked of the server: briefly, and silently.
const (
	completeTimeout = 2 * time.Second
	completeMax     = 100
)

// completing opens a session for a completion; false when there is nobody to ask.
func (r *remote) completing(cmd *cobra.Command, f func(context.Context, *session)) {
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	client, err := r.client("")
	if err != nil {
		return
	}
	defer client.Close()
	s := &session{Client: client, out: cmd.OutOrStdout(), o: r}
	if s.run, err = r.findRun(ctx, client); err == nil {
		f(ctx, s)
	}
}

// completeTasks offers the ids that contain what was typed.
func (r *remote) completeTasks(cmd *cobra.Command, _ []string, typed string) (ids []string, _ cobra.ShellCompDirective) {
	r.completing(cmd, func(ctx context.Context, s *session) {
		list, err := s.Tasks(ctx, s.run, api.TaskQuery{Text: typed, Sort: "-seq", Limit: completeMax})
		if err != nil {
			return
		}
		for i := range list.Tasks {
			t := &list.Tasks[i]
			if id := string(t.ID); id == harmless(id, len(id)) { // others a shell cannot show
				ids = append(ids, id+"\t"+statusOf(t))
			}
		}
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// completeRun offers the runs for a command's first argument, and files and folders for another.
func (r *remote) completeRun(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return r.completeRuns(cmd, args, typed)
}

func (r *remote) completeRuns(_ *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), completeTimeout)
	defer cancel()
	client, err := r.client("")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer client.Close()
	runs, err := client.Runs(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, run := range runs {
		names = append(names, string(run.Name))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeKinds offers the kinds of the newest tasks.
func (r *remote) completeKinds(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	r.completing(cmd, func(ctx context.Context, s *session) {
		list, err := s.Tasks(ctx, s.run, api.TaskQuery{Sort: "-seq", Limit: pageSize})
		if err != nil {
			return
		}
		for i := range list.Tasks {
			names = append(names, list.Tasks[i].Kind)
		}
	})
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

func (r *remote) completeClasses(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	r.completing(cmd, func(ctx context.Context, s *session) {
		run, err := s.Run(ctx, s.run)
		if err != nil {
			return
		}
		for _, c := range run.Classes {
			names = append(names, c.Name)
		}
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
