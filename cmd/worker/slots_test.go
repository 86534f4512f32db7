package main

import (
	"maps"
	"testing"

	"autoresearch/pkg/worker"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	type counts = map[string]int
	for _, row := range []struct {
		slots   []string
		perSlot int
		plain   counts
		gpus    *worker.GPUSlots
		fails   bool
	}{
		{slots: []string{"4"}, plain: counts{"c": 4}},
		{slots: []string{"a=1", "b=2"}, plain: counts{"a": 1, "b": 2}},
		{slots: []string{"auto"}, gpus: &worker.GPUSlots{Class: "c"}},
		{slots: []string{"auto", "cpu=8"}, perSlot: 2, plain: counts{"cpu": 8}, gpus: &worker.GPUSlots{Class: "c", PerSlot: 2, Required: true}},
		{slots: []string{"3"}, perSlot: 1, gpus: &worker.GPUSlots{Class: "c", PerSlot: 1, Slots: 3, Required: true}},
		{slots: []string{"auto", "3"}, perSlot: 1, fails: true},
		{slots: []string{"auto", "3"}, fails: true},
		{slots: []string{"auto", "c=3"}, fails: true},
		{slots: []string{"a=3"}, perSlot: 1, fails: true},
		{slots: []string{"auto"}, perSlot: -1, fails: true},
		{slots: []string{"some"}, fails: true},
		{slots: []string{"a=auto"}, fails: true},
	} {
		o := options{class: "c", slots: row.slots, gpus: worker.GPUSlots{PerSlot: row.perSlot}}
		plain, gpus, err := o.room()
		switch {
		case (err != nil) != row.fails:
			t.Errorf("%v, %d a slot: %v", row.slots, row.perSlot, err)
		case err != nil:
		case !maps.Equal(plain, row.plain) || (gpus == nil) != (row.gpus == nil) || gpus != nil && *gpus != *row.gpus:
			t.Errorf("%v, %d a slot: %v and %+v", row.slots, row.perSlot, plain, gpus)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	if err := checkLabels([]string{"zone=a", "disk=nvme"}); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]string{{"zone"}, {"=a"}, {"zone="}, {"zone=a", "zone=b"}, {"zone=a b"}} {
		if checkLabels(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
