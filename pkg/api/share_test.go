package api

import (
	"context"
	"slices"
	"testing"

	"autoresearch/pkg/spec"
)

// TestShareIsSaid tells of a run that shares the slots of a class what its share is, and why its tasks wait.
func TestShareIsSaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tasks := []spec.TaskSpec{task("1"), task("2"), task("3"), task("4"), task("5")}
	a, b := w.coordinateRun("a", tasks...), w.coordinateRun("b", tasks...)
	a.leads(t)
	b.leads(t)
	w.work(map[string]int{"cpu": 4}, func(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
		<-ctx.Done()
		return spec.TaskResult{}, ctx.Err()
	})
	for run, n := range map[spec.RunName]*node{"a": a, "b": b} {
		c := n.client(t)
		eventually(t, "its share is said", func() bool {
			now := must(c.Run(t.Context(), run))(t)
			i := slices.IndexFunc(now.Classes, func(c Class) bool { return c.Name == "cpu" })
			return i >= 0 && now.Classes[i].Share != nil
		})
		eventually(t, "the last task waits for more than the share", func() bool {
			detail := must(c.Task(t.Context(), run, "5"))(t)
			return detail.Waiting != nil && slices.ContainsFunc(detail.Waiting.Reasons, func(r Reason) bool { return r.Code == "share" })
		})
	}
}
