package spec

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	registry := NewRegistry()
	if _, err := registry.Lookup("x"); err == nil || !strings.Contains(err.Error(), "known: none") {
		t.Errorf("empty: %v", err)
	}
	factory := func([]string, string) (WorkflowSpec, error) { return nil, nil }
	for _, name := range []string{"pkg.mod:make", "command"} {
		if err := registry.Register(name, factory); err != nil {
			t.Error(err)
		}
	}
	if err := registry.Register("command", factory); err == nil {
		t.Error("registered twice")
	}
	if registry.Register("", factory) == nil || registry.Register("x", nil) == nil {
		t.Error("registered nothing")
	}
	if f, err := registry.Lookup("command"); err != nil || f == nil {
		t.Errorf("lookup: %v", err)
	}
	if _, err := registry.Lookup("x"); err == nil || !strings.Contains(err.Error(), "known: command, pkg.mod:make") {
		t.Errorf("unknown: %v", err)
	}
	if names := registry.Names(); !slices.Equal(names, []string{"command", "pkg.mod:make"}) {
		t.Errorf("names: %v", names)
	}
}

func TestObjectiveImproves(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		maximize    bool
		value, best float64
		hasBest     bool
		want        bool
	}{
		{false, 1, 0, false, true}, {false, 1, 2, true, true}, {false, 2, 2, true, false}, {false, 3, 2, true, false},
		{true, 3, 2, true, true}, {true, 1, 2, true, false}, {false, nan, 2, true, false}, {false, nan, 0, false, false},
		{true, inf, 2, true, false}, {false, -inf, 2, true, false}, {false, 1, nan, true, true}, {false, 1, -inf, true, true},
	} {
		if got := (Objective{"m", test.maximize}).Improves(test.value, test.best, test.hasBest); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
