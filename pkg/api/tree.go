package api

import (
	"math"
	"strconv"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// tree lists the hypothesis tree in order of arrival, or, with root, a subtree level by level.
func (c *call) tree() error {
	values, err := c.query("root", "limit", "cursor")
	if err != nil {
		return err
	}
	most, err := limit(values, pageMax, treePageMax)
	if err != nil {
		return err
	}
	from := 0
	if cursor := values.Get("cursor"); cursor != "" {
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 {
			return problem(CodeInvalid, "parameter cursor: it is not of a tree")
		}
	}
	rows := c.view.Scan(from, coordinator.All)
	if root := spec.TaskID(values.Get("root")); root != "" {
		if _, known := c.view.Task(root); !known {
			return problem(CodeUnknownTask, "run %q has no task %q", c.run.Name(), root)
		}
		rows = c.view.Subtree(root, from, coordinator.All)
	}
	improved := improvements(c.view)
	page := Tree{Nodes: []Node{}}
	for place, row := range rows {
		if !c.view.Counted(row.Task.Spec.Kind) {
			continue
		}
		if len(page.Nodes) == most {
			page.Next = strconv.Itoa(place)
			break
		}
		page.Nodes = append(page.Nodes, nodeOf(row, improved[row.Task.Spec.ID]))
	}
	return c.answer(page)
}

func nodeOf(row coordinator.Row, improved bool) Node {
	t := row.Task
	n := Node{
		ID: t.Spec.ID, Parent: t.Parent, Status: nodeStatus(t.State), Kind: t.Spec.Kind, Seq: t.Seq, Priority: Number(t.Priority),
		Cancelled: t.Cancelled, Improved: improved,
	}
	if !math.IsNaN(row.Score) {
		value := Number(row.Score)
		n.Value = &value
	}
	if t.Outcome != nil && t.Outcome.Failure != nil {
		n.FailureKind = t.Outcome.Failure.Kind
	}
	return n
}

// nodeStatus is one of the four statuses of a node.
func nodeStatus(s spec.TaskState) string {
	switch s {
	case spec.StateQueued, spec.StateCompleted, spec.StateFailed:
		return s.String()
	}
	return spec.StatusNodeRuns
}

// improvements are the experiments that were the best when they ended.
func improvements(view *coordinator.View) map[spec.TaskID]bool {
	improved := make(map[spec.TaskID]bool)
	eachScore(view, func(p Point) {
		if p.Improved {
			improved[p.Task] = true
		}
	})
	return improved
}

// eachScore calls f for every experiment with a value, as they ended.
func eachScore(view *coordinator.View, f func(Point)) {
	objective, best, has := view.Objective(), 0.0, false
	for i, s := range view.Scores() {
		p := Point{Task: s.Task, Order: i + 1, Value: Number(s.Value)}
		if objective.Improves(s.Value, best, has) {
			best, has, p.Improved = s.Value, true, true
		}
		p.EndedAt, p.Best = at(s.Ended), Number(best)
		if !has {
			p.Best = Number(math.NaN())
		}
		f(p)
	}
}

// pointsDefault and pointsMax bound a history.
const (
	pointsDefault = 500
	pointsMax     = 10_000
)

func (c *call) history() error {
	values, err := c.query("limit")
	if err != nil {
		return err
	}
	most, err := limit(values, pointsDefault, pointsMax)
	if err != nil {
		return err
	}
	status := c.view.Status()
	h := History{
		Objective: objectiveOf(c.view.Objective()), Best: bestOf(status.Best), PerMinute: status.PerMinute, Points: []Point{},
		Total: len(c.view.Scores()),
	}
	step := max(1, (h.Total+most-1)/most)
	eachScore(c.view, func(p Point) {
		if p.Improved || p.Order%step == 0 || p.Order == h.Total {
			h.Points = append(h.Points, p)
		}
	})
	return c.answer(h)
}
