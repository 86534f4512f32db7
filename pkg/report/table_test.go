package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

func TestTableBoundsItsColumns(t *testing.T) {
	t.Parallel()
	var s Search
	for i := range tableKeys + 50 {
		s.Nodes = append(s.Nodes, spec.HypothesisNode{NodeID: fmt.Sprint(i), Name: "n",
			Spec: spec.Payload(fmt.Sprintf(`{"common": 1, "key%03d": "x\ty"}`, i))})
	}
	rows := splitTable(MasterTable(s))
	if got, want := len(rows[0]), len(tableHeader)+tableKeys+1; got != want {
		t.Fatalf("%d columns, want %d", got, want)
	}
	if !slices.Contains(rows[0], "payload.common") || rows[0][len(rows[0])-1] != "payload.(others)" {
		t.Errorf("the most common key or the column for the others is missing: %v", rows[0])
	}
	text := string(MasterTable(s))
	for i := range s.Nodes {
		if key := fmt.Sprintf("key%03d", i); !strings.Contains(text, key) {
			t.Errorf("%s is lost", key)
		}
	}
	if last := rows[len(rows)-1]; last[len(last)-1] != `{"key249":"x\\ty"}` {
		t.Errorf("the others of the last row: %q", last[len(last)-1])
	}
}
