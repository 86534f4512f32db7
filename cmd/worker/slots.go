package main

import (
	"fmt"
	"slices"
	"strings"

	"autoresearch/internal/cli"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

const slotsAuto = "auto"

// room returns the slots that the flags ask for: those without GPUs, and what is said of those with.
func (o *options) room() (slots map[string]int, gpus *worker.GPUSlots, err error) {
	var plain []string
	g := o.gpus
	g.Class = o.class
	for _, value := range o.slots {
		_, _, named := strings.Cut(value, "=")
		switch {
		case value == slotsAuto:
			gpus = &g
		case !named && o.gpus.PerSlot > 0:
			count, err := cli.Slots([]string{value}, o.class)
			if err != nil {
				return nil, nil, err
			}
			gpus = &g
			g.Slots += count[o.class]
		default:
			plain = append(plain, value)
		}
	}
	g.Required = o.gpus.PerSlot > 0
	switch {
	case o.gpus.PerSlot < 0, g.Required && gpus == nil:
		return nil, nil, fmt.Errorf("--gpus-per-slot %d: it must be at least 1, and goes with --slots auto or --slots N", o.gpus.PerSlot)
	case g.Slots > 0 && slices.Contains(o.slots, slotsAuto):
		return nil, nil, fmt.Errorf("--slots %s: say auto, or how many slots with GPUs there are, not both", strings.Join(o.slots, ","))
	}
	slots, err = cli.Slots(plain, o.class)
	if _, taken := slots[o.class]; err == nil && gpus != nil && taken {
		err = fmt.Errorf("--slots %s: class %s would have slots with GPUs and slots without: give one of them another class",
			strings.Join(o.slots, ","), o.class)
	}
	return slots, gpus, err
}

// checkLabels refuses what is no label, and a name that is given twice.
func checkLabels(labels []string) error {
	names := map[string]bool{}
	for _, label := range labels {
		name, _, _ := strings.Cut(label, "=")
		if !spec.LabelValid(label) || names[name] {
			return fmt.Errorf("--label %q: write NAME=VALUE, each name once, without spaces, commas and brackets", label)
		}
		names[name] = true
	}
	return nil
}
