package bench

import "fmt"

// Target is what a row is to reach on two cores with everything on one host, beside what was measured.
type Target struct {
	Row      string  `json:"row"`
	What     string  `json:"what"`
	Target   string  `json:"target"`
	Measured float64 `json:"measured"`
	Met      bool    `json:"met"`
}

func atLeast(what string, measured, limit float64) Target {
	return Target{What: what, Target: fmt.Sprintf(">= %g", limit), Measured: measured, Met: measured >= limit}
}

func atMost(what string, measured, limit float64) Target {
	return Target{What: what, Target: fmt.Sprintf("<= %g", limit), Measured: measured, Met: measured <= limit}
}

func below(what string, measured, limit float64) Target {
	return Target{What: what, Target: fmt.Sprintf("< %g", limit), Measured: measured, Met: measured < limit}
}

// line shows a target to people.
func (t Target) line() string {
	verdict := "MISSED"
	if t.Met {
		verdict = "met"
	}
	return fmt.Sprintf("  %-11s %-38s %10s  measured %-10.5g %s", t.Row, t.What, t.Target, t.Measured, verdict)
}
