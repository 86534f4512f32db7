package runs

import (
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/api"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// TestChange has a run led by new settings, refuses who has seen older ones, and says in its events who changed what and why.
func TestChange(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(t), t.Context()
	if _, err := n.client.CreateRun(ctx, api.RunRequest{Name: "a", Workflow: workflowText, Dir: "/work"}); err != nil {
		t.Fatal(err)
	}
	before, err := n.client.Entry(ctx, "a")
	if err != nil || before.Workflow != workflowText || before.Weight != 1 || before.Version == "" {
		t.Fatalf("%+v, %v", before, err)
	}
	dry, err := n.client.ChangeEntry(ctx, "a", api.EntryRequest{Weight: new(2.0), DryRun: true}, "")
	if err != nil || !slices.Equal(dry.Changed, []string{"weight 1 -> 2"}) || dry.Run.Weight != 1 {
		t.Errorf("%+v, %v", dry, err)
	}
	done, err := n.client.ChangeEntry(ctx, "a", api.EntryRequest{Weight: new(2.0), Budget: new(5), Reason: "a deadline"}, before.Version)
	if err != nil || done.Run.Weight != 2 || done.Run.Budget != 5 || done.Run.Epoch != 2 || done.Run.Tasks != 1 || done.Run.ChangedBy != "anna" {
		t.Errorf("%+v, %v", done, err)
	}
	_, err = n.client.ChangeEntry(ctx, "a", api.EntryRequest{Weight: new(3.0)}, before.Version)
	wantCode(t, err, api.CodeChanged)
	for _, wrong := range []struct {
		request api.EntryRequest
		want    api.Code
	}{
		{api.EntryRequest{Weight: new(0.0)}, api.CodeInvalid}, {api.EntryRequest{Budget: new(-1)}, api.CodeInvalid},
		{api.EntryRequest{Workflow: new("")}, api.CodeInvalid}, {api.EntryRequest{Workflow: new("kinds: 3")}, api.CodeWorkflow},
		{api.EntryRequest{Args: &[]string{"nothing=1"}}, api.CodeWorkflow}, {api.EntryRequest{Dir: new("relative")}, api.CodeWorkflow},
	} {
		_, err := n.client.ChangeEntry(ctx, "a", wrong.request, "")
		wantCode(t, err, wrong.want)
	}
	again, err := n.client.ChangeEntry(ctx, "a", api.EntryRequest{Weight: new(2.0)}, "")
	if err != nil || len(again.Changed) != 0 || again.Run.Epoch != 2 {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	text := strings.Replace(workflowText, "3", "4", 1)
	other, err := n.client.ChangeEntry(ctx, "a", api.EntryRequest{Workflow: &text, Budget: new(0)}, done.Entry.Version)
	if err != nil || other.Run.Budget != 4 || other.Entry.Workflow != text || other.Entry.Dir != "/work" {
		t.Errorf("%+v, %v", other, err)
	}
	events, err := n.client.Events(ctx, "a", api.EventQuery{Types: []string{api.EventChange}})
	var said []string
	for _, e := range events.Events {
		said = append(said, string(e.Change.Action)+" "+e.Change.What+" by "+e.Change.By+": "+e.Change.Reason)
	}
	want := []string{"configure budget 0 -> 5, weight 1 -> 2 by anna: a deadline", "configure workflow, budget 5 -> 0 by anna: "}
	if err != nil || !slices.Equal(said, want) {
		t.Errorf("%q, %v", said, err)
	}
}

// TestChangeWhatNobodyLeads mends a run that nobody can lead, and changes one that is archived.
func TestChangeWhatNobodyLeads(t *testing.T) {
	t.Parallel()
	n, ctx := newNode(t), t.Context()
	if err := n.registry.Ensure(ctx); err != nil {
		t.Fatal(err)
	}
	for name, archived := range map[spec.RunName]bool{"broken": false, "old": true} {
		if _, err := n.registry.Put(ctx, kv.RunEntry{Name: name, ID: "1", Workflow: "kinds: 3", Weight: 1, Archived: archived}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "they are known", func() bool {
		run, err := n.client.Run(ctx, "broken")
		old, oldErr := n.client.Run(ctx, "old")
		return err == nil && run.Role == "broken" && oldErr == nil && old.Role == "archived"
	})
	mended, err := n.client.ChangeEntry(ctx, "broken", api.EntryRequest{Workflow: new(workflowText)}, "")
	if err != nil || mended.Run.Role != "leader" || mended.Run.Trouble != "" {
		t.Errorf("%+v, %v", mended, err)
	}
	old, err := n.client.ChangeEntry(ctx, "old", api.EntryRequest{Weight: new(7.0)}, "")
	if err != nil || old.Run.Weight != 7 || old.Run.Role != "archived" {
		t.Errorf("%+v, %v", old, err)
	}
	_, err = n.client.ChangeEntry(ctx, "nobody", api.EntryRequest{Weight: new(7.0)}, "")
	wantCode(t, err, api.CodeUnknownRun)
	_, err = n.client.Entry(ctx, "nobody")
	wantCode(t, err, api.CodeUnknownRun)
}
