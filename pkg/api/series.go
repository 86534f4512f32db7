package api

import "autoresearch/pkg/spec"

// SeriesList is how the metrics of the attempt that decided a task went.
type SeriesList struct {
	Task    spec.TaskID `json:"task"`
	Attempt uint32      `json:"attempt,omitempty"`
	// Note says why there are fewer points than there might be.
	Note   string   `json:"note,omitempty"`
	Series []Series `json:"series"`
}

// Series is one metric: Points are pairs of step and value, a selection if Seen is more.
type Series struct {
	Metric string      `json:"metric"`
	Seen   int         `json:"seen"`
	Points [][2]Number `json:"points"`
}

func (c *call) showSeries() error {
	if _, err := c.query(); err != nil {
		return err
	}
	row, err := c.row()
	if err != nil {
		return err
	}
	list := SeriesList{Task: row.Task.Spec.ID, Series: []Series{}}
	if row.Task.Outcome == nil {
		return c.answer(list)
	}
	list.Attempt = row.Task.Outcome.Attempt
	all, err := c.view.Series(c.Context(), row.Task)
	if err != nil {
		list.Note = err.Error()
	}
	for i := range all {
		list.Series = append(list.Series, seriesOf(&all[i]))
	}
	return c.answer(list)
}

func seriesOf(s *spec.Series) Series {
	shown := Series{Metric: s.Name, Seen: s.Seen, Points: make([][2]Number, len(s.Points))}
	for i, p := range s.Points {
		shown.Points[i] = [2]Number{Number(p.Step), Number(p.Value)}
	}
	return shown
}
