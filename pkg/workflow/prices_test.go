package workflow

import (
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/spec"
)

func TestPrices(t *testing.T) {
	t.Parallel()
	f := mustParse(t, bowl, "prices={unit: EUR, classes: {cpu: {slot_hour: 0.04}, 'h100[zone=a]': {gpu_hour: 2.5, slot_hour: 1}}}")
	prices := NewCommand(f, "").Prices()
	if prices.Unit != "EUR" || prices.Classes["cpu"] != (spec.Price{SlotHour: 40_000}) ||
		prices.Classes["h100[zone=a]"] != (spec.Price{SlotHour: 1_000_000, GPUHour: 2_500_000}) {
		t.Errorf("%+v", prices)
	}
}

func TestSpendingLimits(t *testing.T) {
	t.Parallel()
	f := mustParse(t, bowl, "stop={max_gpu_hours: 1.5, max_cost: 250}", "prices={unit: EUR}")
	if got := NewCommand(f, "").Limits().Allowance(); got != (spec.Allowance{GPUTime: 90 * time.Minute, Cost: 250_000_000}) {
		t.Errorf("%+v", got)
	}
	if got := f.describeStop(); got != "It ends once 1.5 GPU-hours are spent, or once 250 EUR is spent." {
		t.Error(got)
	}
	if got := mustParse(t, bowl, "stop={max_cost: 0.5}").describeStop(); !strings.Contains(got, "once a cost of 0.5 is spent") {
		t.Error(got)
	}
}

func TestInitialAllowance(t *testing.T) {
	t.Parallel()
	f := mustParse(t, bowl, "initial=[{id: a, kind: experiment, allowance: {max_experiments: 4, max_gpu_hours: 0.5, max_cost: 2}}]")
	got, err := f.Initial[0].Allowance()
	if want := (spec.Allowance{Experiments: 4, GPUTime: 30 * time.Minute, Cost: 2_000_000}); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}
