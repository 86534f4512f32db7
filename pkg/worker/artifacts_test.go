package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// leave makes a Runner that leaves files by fn, which gets the artifacts directory, and then reports one metric.
func leave(fn func(dir string) error) func(*Options) {
	return runners(map[string]spec.RunnerFunc{
		"train": func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
			if _, err := PrepareDir(ctx); err != nil {
				return spec.TaskResult{}, err
			}
			return spec.TaskResult{Metrics: map[string]float64{"loss": 1}}, fn(filepath.Join(a.Dir, artifactsDirName))
		},
	})
}

func write(dir, name, text string) error {
	path := filepath.Join(dir, name)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600))
}

// listed is what of artifacts a result says: path and content, or path and ! and the reason.
func (b *bench) listed(r spec.TaskResult) (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range r.Artifacts {
		if a.Omitted != "" {
			list = append(list, a.Path+"! "+a.Omitted)
			continue
		}
		list = append(list, fmt.Sprintf("%s=%s", a.Path, b.kept[a.Stored.Digest]))
	}
	return list
}

// want checks that each entry begins with what is wanted, in order.
func wantListed(t *testing.T, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("listed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestArtifacts: regular files are kept under their paths; what an experiment puts beside them to lead out of its directory
// is listed and never read.
func TestArtifacts(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startBench(t, leave(func(dir string) error {
		return errors.Join(
			write(dir, "model/best.bin", "weights"), write(dir, "empty", ""), write(dir, "odd \n*ü", "odd"),
			os.Symlink(secret, filepath.Join(dir, "z1-absolute")), os.Symlink("../../../../../../etc/passwd", filepath.Join(dir, "z2-relative")),
			os.Symlink(filepath.Dir(secret), filepath.Join(dir, "z3-dir")), os.Symlink("empty", filepath.Join(dir, "z4-inside")),
			syscall.Mkfifo(filepath.Join(dir, "z5-pipe"), 0o600), write(dir, "z6-\xff", "no text"),
		)
	}))
	b.give(dispatch("t"))
	_, r := b.report("t", 1)
	wantListed(t, b.listed(r), "empty=", "model/best.bin=weights", "odd \n*ü=odd", "z1-absolute! it is no regular file", "z2-relative! it is no",
		"z3-dir! it is no", "z4-inside! it is no", "z5-pipe! it is no", `! "z6-\xff": its name`)
	for _, data := range b.kept {
		if strings.Contains(string(data), "secret") || strings.Contains(string(data), "root:") {
			t.Errorf("stored %q", data)
		}
	}
}

// TestArtifactsDirReplaced: a link in place of the artifacts directory is not followed.
func TestArtifactsDirReplaced(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	b := startBench(t, leave(func(dir string) error {
		return errors.Join(write(elsewhere, "secret", "secret"), os.Remove(dir), os.Symlink(elsewhere, dir))
	}))
	b.give(dispatch("t"))
	_, r := b.report("t", 1)
	wantListed(t, b.listed(r), "! the artifacts directory cannot be read: artifacts is no directory")
	if len(b.kept) > 0 {
		t.Errorf("stored %v", b.kept)
	}
}

// TestArtifactLimits: what exceeds a limit is listed with the reason.
func TestArtifactLimits(t *testing.T) {
	t.Parallel()
	limits := func(o *Options) { o.ArtifactBytes, o.ArtifactsBytes, o.Artifacts = 10, 15, 4 }
	b := startBench(t, limits, leave(func(dir string) error {
		var err error
		for name, size := range map[string]int{"a": 10, "b": 11, "c": 6, "d": 5, "e": 1, "f": 1} {
			err = errors.Join(err, write(dir, name, strings.Repeat("x", size)))
		}
		return err
	}))
	b.give(dispatch("t"))
	_, r := b.report("t", 1)
	wantListed(t, b.listed(r), "a=xxxxxxxxxx", "b! it is larger than 10 bytes", "c! all together are larger than 15 bytes", "d=xxxxx",
		"! 2 more entries: at most 4 files are kept")
}

// TestArtifactsNeverHoldAResultBack: a store that refuses, is away or hangs costs the artifacts, for a bounded time, and says
// so; the result goes out.
func TestArtifactsNeverHoldAResultBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"full": {bus.ErrRefused, "a! it was not stored: "}, "missing": {bus.ErrMissing, "a! it was not stored: "},
		"away": {bus.ErrAmbiguous, "a! it was not stored: it took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBench(t, func(o *Options) { o.KeepTimeout = 2 * time.Second }, leave(func(dir string) error { return write(dir, "a", "x") }))
			b.change(func() { b.keepErr = test.err })
			b.give(dispatch("t"))
			report, r := b.report("t", 1)
			if report.Failure != nil || r.Metrics["loss"] != 1 {
				t.Errorf("%+v", report)
			}
			wantListed(t, b.listed(r), test.want)
		})
	}
}

// TestArtifactsOfFailures: an experiment that failed, and one that was stopped, keep what they left.
func TestArtifactsOfFailures(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("failed", script("artifact core.txt", "exit 3")))
	report, r := b.report("failed", 1)
	wantListed(t, b.listed(r), "core.txt=left")
	if report.Failure == nil {
		t.Error("it did not fail")
	}
	b.give(dispatch("slow", script("artifact half.txt", "await"), func(d *bus.Dispatch) { d.Recipe.Timeout = 300 * time.Millisecond }))
	_, r = b.report("slow", 1)
	wantListed(t, b.listed(r), "half.txt=left")
}
