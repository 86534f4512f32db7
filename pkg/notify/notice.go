package notify

import (
	"fmt"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// NoticeVersion is the version of the body.
const NoticeVersion = 1

// Notice is what people are told: the body of a webhook, and the standard input of a command.
type Notice struct {
	Version int              `json:"version"`
	ID      string           `json:"id"`
	Event   spec.NoticeEvent `json:"event"`
	Run     spec.RunName     `json:"run"`
	Name    string           `json:"name,omitempty"`
	At      time.Time        `json:"at"`
	Text    string           `json:"text"`

	Task      spec.TaskID `json:"task,omitempty"`
	Metric    string      `json:"metric,omitempty"`
	Direction string      `json:"direction,omitempty"`
	Value     *float64    `json:"value,omitempty"`
	Previous  *float64    `json:"previous,omitempty"`

	Reason string `json:"reason,omitempty"`

	Limit   string  `json:"limit,omitempty"`
	Used    float64 `json:"used,omitempty"`
	Allowed float64 `json:"allowed,omitempty"`

	ForSeconds float64 `json:"for_seconds,omitempty"`

	Counts Counts `json:"counts"`
}

// Counts are the run's experiments when a notice was written.
type Counts struct {
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Running   int `json:"running"`
	Queued    int `json:"queued"`
}

func countsOf(e coordinator.Experiments) Counts {
	return Counts{Completed: e.Completed, Failed: e.Failed, Cancelled: e.Cancelled, Running: e.Running, Queued: e.Queued}
}

// number writes a value of the objective for people.
func number(v float64) string { return fmt.Sprintf("%.6g", v) }
