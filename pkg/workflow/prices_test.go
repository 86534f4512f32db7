package workflow

import (
	"testing"

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
