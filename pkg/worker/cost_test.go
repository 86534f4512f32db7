package worker

import "testing"

// TestReportedCost: what a result file says it has cost is in the report, of a failure too.
func TestReportedCost(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("good", script(`result {"metrics": {"loss": 1}, "cost": 0.25}`)))
	b.give(dispatch("bad", script(`result {"cost": 2}`, "exit 1")))
	good, result := b.report("good", 1)
	if good.Cost != 250_000 || result.Cost != 250_000 || good.Failure != nil {
		t.Errorf("%+v", good)
	}
	if bad, _ := b.report("bad", 1); bad.Cost != 2_000_000 || bad.Failure == nil {
		t.Errorf("%+v", bad)
	}
}
