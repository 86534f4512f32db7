package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIdentityStaysAndBootsGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, damaged, err := nextIdentity(dir, "", "", "GPU-7.Lab_x@")
	if damaged != nil || err != nil {
		t.Fatal(damaged, err)
	}
	if first.Boot != 1 || !strings.HasPrefix(string(first.ID), "gpu-7-lab-x-") {
		t.Fatalf("first identity %+v", first)
	}
	second, _, err := nextIdentity(dir, "", "", "renamed")
	if err != nil || second.ID != first.ID || second.Boot != 2 {
		t.Fatalf("second identity %+v, %v", second, err)
	}
	named, _, err := nextIdentity(dir, "w1", "", "renamed")
	if err != nil || named.ID != "w1" || named.Boot != 3 {
		t.Fatalf("configured identity %+v, %v", named, err)
	}
	for boot, step := range []struct{ group, want string }{{"gpu", "gpu/w1"}, {"cpu", "cpu/w1"}, {"", "w1"}} {
		who, _, err := nextIdentity(dir, "", step.group, "renamed")
		if err != nil || string(who.ID) != step.want || who.Boot != uint64(4+boot) {
			t.Fatalf("in group %q: %+v, %v", step.group, who, err)
		}
	}
}

func TestDamagedIdentityIsPutAside(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"id": ""}`, `{"id": 5}`, "null"} {
		dir := t.TempDir()
		path := filepath.Join(dir, identityFileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		who, damaged, err := nextIdentity(dir, "", "", "")
		if err != nil || damaged == nil || who.Boot != 1 || who.ID == "" {
			t.Fatalf("%q: %+v, damaged %v, error %v", text, who, damaged, err)
		}
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != text {
			t.Fatalf("%q is not kept: %q, %v", text, kept, err)
		}
	}
}

func TestDirectoryHasOneWorker(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.until("it runs", func() bool { return len(b.uplinks()) > 0 })
	err := Run(context.Background(), b.o)
	if !errors.Is(err, ErrDirInUse) || !strings.Contains(err.Error(), b.o.Dir) {
		t.Fatalf("a second worker: %v", err)
	}
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	again := restart(t, b.o, newTestLink())
	again.until("it runs again", func() bool { return again.lastBeat().Boot == 2 })
	if a, b := again.lastBeat().Worker, b.lastBeat().Worker; a != b {
		t.Fatalf("%s became %s", b, a)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no directory":   {Slots: map[string]int{"cpu": 1}},
		"no slots":       {Dir: t.TempDir()},
		"zero slots":     {Dir: t.TempDir(), Slots: map[string]int{"cpu": 0}},
		"negative slots": {Dir: t.TempDir(), Slots: map[string]int{"cpu": -1, "gpu": 2}},
		"nameless class": {Dir: t.TempDir(), Slots: map[string]int{"": 1}},
	} {
		if err := Run(context.Background(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
