package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"autoresearch/pkg/spec"
)

// describe renders an output as lines, in the order in which the shell acts on it.
func describe(out *Output) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, c := range out.Changes {
		line("journal %s", describeTask(c.Task))
	}
	if out.Meta != nil {
		line("journal run %s", describeMeta(out.Meta))
	}
	for _, a := range out.Acts {
		line("act %s", describeAct(a))
	}
	for i, t := range out.Publish {
		again := ""
		if i >= len(out.Publish)-out.Again {
			again = " again"
		}
		avoid := ""
		if t.Lease.Avoid != "" {
			avoid = " but " + string(t.Lease.Avoid)
		}
		line("publish %s/%d to %s%s%s", t.Spec.ID, t.Attempt, t.Lease.Class, avoid, again)
	}
	for _, w := range out.Purge {
		line("purge %s/%d from %s", w.Task, w.Attempt, w.Class)
	}
	for _, s := range out.Stops {
		line("stop %s %s: %s", s.Worker, describeRef(s.AttemptRef), s.Reason)
	}
	for _, r := range out.Receipts {
		line("receipt %s %s", r.Worker, describeRef(r.AttemptRef))
	}
	for _, r := range out.SendAgain {
		line("ask %s for %s again", r.Worker, describeRef(r.AttemptRef))
	}
	for _, t := range out.Hooks {
		line("hook %s order=%d", t.Spec.ID, t.Outcome.Order)
	}
	for _, r := range out.Rejections {
		line("reject %s", describeRejection(r))
	}
	for _, r := range out.Renames {
		line("rename %s to %s", r.From, r.To)
	}
	for _, r := range out.Replies {
		if text := describeReply(r); text != "" {
			line("reply %s", text)
		}
	}
	if out.StatusChanged {
		line("status changed")
	}
	return b.String()
}

func describeTask(t *spec.Task) string {
	words := []string{string(t.Spec.ID), t.State.String()}
	say := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	say(t.Attempt > 0, "attempt=%d", t.Attempt)
	say(t.State == spec.StateRunning && t.Lease.Attempt != t.Attempt, "holder=%d", leased(t).Attempt)
	say(t.State == spec.StateRunning, "on=%s/c%d", leased(t).Worker, leased(t).Claim)
	say(t.State.Leased() && leased(t).Class != spec.ClassDefault, "class=%s", leased(t).Class)
	say(t.Priority != 0, "priority=%v", t.Priority)
	say(t.Parent != "", "parent=%s", t.Parent)
	say(t.NotBefore > 0, "not-before=%v", t.NotBefore)
	say(t.Failures > 0, "failures=%d", t.Failures)
	say(t.Lost > 0, "lost=%d", t.Lost)
	say(t.Preempted > 0, "preempted=%d", t.Preempted)
	say(t.Spent.GPUTime > 0 || t.Spent.Cost > 0, "spent=%s", describeSpent(t.Spent))
	say(t.Interrupted, "interrupted")
	say(t.Cancelled && t.State != spec.StateFailed, "cancelled")
	say(t.Outcome != nil, "%s", describeOutcome(t.Outcome))
	say(len(t.Children) > 0, "children=%v", t.Children)
	return strings.Join(words, " ")
}

// describeSpent leaves out what is nothing.
func describeSpent(s spec.Spent) string {
	words := []string{s.LeaseTime.String()}
	if s.GPUTime > 0 {
		words = append(words, "gpu:"+s.GPUTime.String())
	}
	if s.Cost > 0 {
		words = append(words, fmt.Sprintf("cost:%v", s.Cost.Units()))
	}
	if s.Reported > 0 {
		words = append(words, fmt.Sprintf("reported:%v", s.Reported.Units()))
	}
	return strings.Join(words, ",")
}

func leased(t *spec.Task) spec.Lease {
	if t.Lease == nil {
		return spec.Lease{}
	}
	return *t.Lease
}

func describeOutcome(o *spec.Outcome) string {
	switch {
	case o == nil:
		return ""
	case o.Failure == nil:
		return fmt.Sprintf("by=%d/c%d", o.Attempt, o.Claim)
	case o.Attempt == 0:
		return describeFailure(o.Failure)
	}
	return fmt.Sprintf("by=%d/c%d %s", o.Attempt, o.Claim, describeFailure(o.Failure))
}

func describeFailure(f *spec.FailureRecord) string {
	if losses, ok := f.Details["losses"].([]any); ok {
		return fmt.Sprintf("%s (%s) %q %s", f.Kind, f.Cause(), f.Message, describeLosses(losses))
	}
	if f.Cause() == "" {
		return fmt.Sprintf("%s %q", f.Kind, f.Message)
	}
	return fmt.Sprintf("%s (%s) %q", f.Kind, f.Cause(), f.Message)
}

func describeLosses(losses []any) string {
	var words []string
	for _, l := range losses {
		loss := l.(map[string]any)
		word := fmt.Sprintf("%v on %v", loss["attempt"], loss["worker"])
		if loss["progress"] != nil {
			word += fmt.Sprintf(" after %q", loss["progress"])
		}
		words = append(words, word)
	}
	return "losses=(" + strings.Join(words, ", ") + ")"
}

func describeMeta(m *spec.Meta) string {
	words := []string{string(m.Status)}
	say := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	say(m.StopReason != "", "(%s)", m.StopReason)
	say(m.Loaded, "loaded")
	say(m.ImportHash != "", "hash=%s", m.ImportHash)
	say(m.Paused, "paused")
	say(m.Drained, "drained")
	say(len(m.PausedClasses) > 0, "paused=%v", m.PausedClasses)
	say(m.Budget != 0, "budget=%d", m.Budget)
	say(len(m.ClassBudgets) > 0, "budgets=%v", m.ClassBudgets)
	say(len(m.Quarantined) > 0, "quarantined=%v", m.Quarantined)
	return strings.Join(words, " ")
}

func describeAct(a spec.Act) string {
	words := []string{string(a.Kind)}
	say := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	say(a.Task != "", "%s", a.Task)
	say(a.Origin != "", "of=%s", a.Origin)
	say(a.Class != "", "class=%s", a.Class)
	say(a.GPU != "", "gpu=%s", a.GPU)
	say(a.Subtree, "subtree")
	say(a.Kind == spec.ActBudget || a.Kind == spec.ActReprioritise, "to=%v", a.Value)
	say(a.What != "", "(%s)", a.What)
	say(a.Count != 1 && a.Kind != spec.ActWarn, "count=%d", a.Count)
	say(true, "by=%s", a.By)
	say(a.Reason != "", "(%s)", a.Reason)
	return strings.Join(words, " ")
}

func describeRef(r spec.AttemptRef) string {
	return fmt.Sprintf("%s/%d/c%d", r.Task, r.Attempt, r.Claim)
}

func describeRejection(r Rejection) string {
	who := describeRef(r.AttemptRef)
	if r.Child != "" {
		return fmt.Sprintf("child %s of %s: %s", r.Child, who, r.Reason)
	}
	if r.Body != nil {
		return fmt.Sprintf("%s with body %q: %s", who, r.Body, r.Reason)
	}
	return fmt.Sprintf("%s: %s", who, r.Reason)
}

// describeReply returns "" for a submission that was taken as it was.
func describeReply(r Reply) string {
	err := errors.Join(append(r.Errs, r.Err)...)
	switch {
	case err != nil:
		return fmt.Sprintf("%d error: %v", r.Count, err)
	case len(r.Errs) > 0 && r.Count == len(r.Errs):
		return ""
	}
	return fmt.Sprintf("%d", r.Count)
}

// describeLive renders all live tasks in order of arrival.
func describeLive(e *Engine) string {
	var live []*spec.Task
	for _, t := range e.live() {
		live = append(live, t.Task)
	}
	slices.SortFunc(live, func(a, b *spec.Task) int { return int(a.Seq) - int(b.Seq) })
	var b strings.Builder
	for _, t := range live {
		fmt.Fprintln(&b, describeTask(t))
	}
	return b.String()
}

// describeCounts renders the counts that are not zero.
func describeCounts(c Counts) string {
	fields := strings.Fields(strings.Trim(fmt.Sprintf("%+v", c), "{}"))
	fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasSuffix(f, ":0") })
	return strings.ToLower(strings.ReplaceAll(strings.Join(fields, " "), ":", "="))
}
