package code_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"autoresearch/internal/code"
)

func write(t *testing.T, dir, name, text string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func pack(t *testing.T, tree code.Tree) []byte {
	t.Helper()
	bundle, err := tree.Pack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// tree has a bit of everything.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "train", "#!/bin/sh\n", 0o700)
	write(t, dir, "a.txt", "a", 0o600)
	write(t, dir, "a/b/model.py", "x = 1\n", 0o644)
	write(t, dir, strings.Repeat("long/", 60)+"name", "deep", 0o644)
	for name, target := range map[string]string{"link": "a/b/model.py", "a/b/up": "../../train"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestABundleIsItsTreeAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := tree(t)
	first := pack(t, code.Tree{Dir: dir})
	if err := os.Chtimes(filepath.Join(dir, "train"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "a.txt"), 0o664); err != nil {
		t.Fatal(err)
	}
	write(t, dir, ".git/HEAD", "ref", 0o644)
	write(t, dir, "a/__pycache__/x.pyc", "compiled", 0o644)
	write(t, dir, "data/big.bin", "data", 0o644)
	write(t, dir, "runs/one/log", "log", 0o644)
	without := code.Tree{Dir: dir, Ignore: []string{"*.bin"}, Without: filepath.Join(dir, "runs")}
	if !bytes.Equal(pack(t, without), first) {
		t.Error("times, modes and ignored files change the bundle")
	}
	again := t.TempDir()
	if err := code.Unpack(first, again, code.Limits{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pack(t, code.Tree{Dir: again}), first) {
		t.Error("what was unpacked is another tree")
	}
	write(t, again, "a.txt", "b", 0o644)
	if bytes.Equal(pack(t, code.Tree{Dir: again}), first) {
		t.Error("another tree has the same bundle")
	}
}

func TestPackRefusesWhatIsTooLargeOrLeadsOut(t *testing.T) {
	t.Parallel()
	for name, link := range map[string]string{"up": "../x", "absolute": "/etc/passwd", "bent": "a/../../x"} {
		dir := t.TempDir()
		if err := os.Symlink(link, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := (code.Tree{Dir: dir}).Pack(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("link to %s: %v", link, err)
		}
	}
	dir := tree(t)
	for field, limits := range map[string]code.Limits{"code.max_bytes": {Bytes: 700}, "code.max_files": {Files: 2}} {
		if _, err := (code.Tree{Dir: dir, Limits: limits}).Pack(t.Context()); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// bundle writes entries as they come.
func bundle(entries ...tar.Header) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range entries {
		body := strings.Repeat("x", int(h.Size))
		if err := errors.Join(w.WriteHeader(&h), func() error { _, err := w.Write([]byte(body)); return err }()); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func file(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3, Mode: 0o644}
}
func link(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}

var hostile = map[string][]byte{
	"up":             bundle(file("../x")),
	"up inside":      bundle(file("a/../../x")),
	"absolute":       bundle(file("/tmp/x")),
	"unclean":        bundle(file("a//x")),
	"twice":          bundle(file("a"), file("a")),
	"out of order":   bundle(file("b"), file("a")),
	"link out":       bundle(link("a", "../x")),
	"absolute link":  bundle(link("a", "/etc")),
	"bent link":      bundle(file("p/q/x"), link("r", "p/q/../../../x")),
	"through a link": bundle(link("a", "b"), file("a/x")),
	"below a file":   bundle(file("a"), file("a/x")),
	"hard link":      bundle(file("a"), tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"}),
	"pipe":           bundle(tar.Header{Typeflag: tar.TypeFifo, Name: "a"}),
	"directory":      bundle(tar.Header{Typeflag: tar.TypeDir, Name: "a"}),
	"device":         bundle(tar.Header{Typeflag: tar.TypeChar, Name: "a"}),
	"cut short":      bundle(file("a"))[:514],
}

func TestUnpackRefusesHostileBundles(t *testing.T) {
	t.Parallel()
	for name, b := range hostile {
		if err := code.Unpack(b, t.TempDir(), code.Limits{}); err == nil {
			t.Errorf("%s: it was unpacked", name)
		}
	}
	many := bundle(file("a"), file("b"), file("c"))
	for _, limits := range []code.Limits{{Files: 2}, {Bytes: int64(len(many)) - 1}} {
		if err := code.Unpack(many, t.TempDir(), limits); err == nil {
			t.Errorf("it was unpacked over %+v", limits)
		}
	}
}

// FuzzUnpack: whatever the bytes, nothing is made outside of the directory, no link leads out, and no more is written than the
// bundle holds.
func FuzzUnpack(f *testing.F) {
	for _, b := range hostile {
		f.Add(b)
	}
	f.Add(bundle(file("a"), link("b/c", "../a")))
	f.Fuzz(func(t *testing.T, b []byte) {
		above := t.TempDir()
		dir := filepath.Join(above, "tree")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		failed := code.Unpack(b, dir, code.Limits{}) != nil
		if entries, err := os.ReadDir(above); err != nil || len(entries) != 1 {
			t.Fatalf("beside the tree: %v, %v", entries, err)
		}
		var written int64
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if entry.Type() == fs.ModeSymlink {
				if to, err := filepath.EvalSymlinks(path); err == nil && to != dir && !strings.HasPrefix(to, dir+"/") {
					t.Errorf("link %s leads to %s", path, to)
				}
				return nil
			}
			status, err := entry.Info()
			if err == nil {
				written += status.Size()
			}
			return err
		})
		if err != nil || written > int64(len(b)) {
			t.Fatalf("%d bytes made of %d: %v", written, len(b), err)
		}
		if !failed {
			if _, err := (code.Tree{Dir: dir, Ignore: nil}).Pack(t.Context()); err != nil {
				t.Errorf("what was unpacked cannot be packed: %v", err)
			}
		}
	})
}

// repository makes a git repository of one commit, whose attributes ask for other bytes than it holds.
func repository(t *testing.T) (dir, hash string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no program git")
	}
	dir = tree(t)
	write(t, dir, ".gitattributes", "a.txt export-ignore\ntrain export-subst\n", 0o644)
	runGit(t, dir, "init", "-q", "-b", "main")
	runGit(t, dir, "add", "-A")
	runGit(t, dir, "commit", "-q", "-m", "one")
	return dir, runGit(t, dir, "rev-parse", "HEAD")
}

// runGit runs the program in a repository and returns what it prints.
func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestACommitIsTheTreeItHolds(t *testing.T) {
	t.Parallel()
	dir, hash := repository(t)
	want := pack(t, code.Tree{Dir: dir})
	write(t, dir, "a.txt", "edited since", 0o644)
	for _, revision := range []string{hash, "main", hash[:12]} {
		got, pinned, err := code.Commit{Repository: dir, Revision: revision}.Pack(t.Context())
		if err != nil || pinned != hash || !bytes.Equal(got, want) {
			t.Errorf("%s: commit %s, equal %v, %v", revision, pinned, bytes.Equal(got, want), err)
		}
	}
	if _, _, err := (code.Commit{Repository: dir, Revision: strings.Repeat("0", 40)}).Pack(t.Context()); err == nil {
		t.Error("a commit that is not there was packed")
	}
	if _, _, err := (code.Commit{Repository: "ext::sh -c true", Revision: hash}).Pack(t.Context()); err == nil {
		t.Error("a command in place of a repository was taken")
	}
}
