package auth

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/bus/bustest"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func initDir(t *testing.T, path string, force bool) *Dir {
	t.Helper()
	d := open(t, path)
	if err := d.Init(TLSPaths{}, force); err != nil {
		t.Fatal(err)
	}
	return d
}

func addWorkers(t *testing.T, path string, u User) {
	t.Helper()
	if err := open(t, path).AddWorkers(u, false); err != nil {
		t.Fatal(err)
	}
}

// read returns every file below a directory.
func read(t *testing.T, path string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(path, func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		files[strings.TrimPrefix(name, path)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func isSecret(name string) bool {
	return strings.HasSuffix(name, seedFileSuffix) || strings.HasSuffix(name, TokensFile)
}

// TestInitAgainChangesNothing: seeds and tokens stay until force, and a changed group keeps its seed.
func TestInitAgainChangesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth")
	initDir(t, path, false)
	addWorkers(t, path, User{Group: "gpu", Classes: []string{"h100x1"}})
	first := read(t, path)
	if again := initDir(t, path, false); len(again.Written) != 0 || len(again.Kept) != 5 {
		t.Errorf("written %v, kept %v", again.Written, again.Kept)
	}
	if !maps.Equal(read(t, path), first) {
		t.Error("files changed")
	}
	addWorkers(t, path, User{Group: "gpu", Runs: []string{"a.b"}})
	changed := read(t, path)
	for name, text := range first {
		if isSecret(name) && changed[name] != text {
			t.Errorf("%s changed", name)
		}
	}
	if !strings.Contains(changed["/auth.conf"], `"ar.result.a=2Eb.gpu.*"`) || strings.Contains(changed["/auth.conf"], "h100x1") {
		t.Error("the group still serves what it did")
	}
	initDir(t, path, true)
	for name, text := range read(t, path) {
		if isSecret(name) && changed[name] == text {
			t.Errorf("%s was forced and stayed", name)
		}
	}
}

// TestOnlyTheOwnerReadsSecrets: files that hold one have mode 0600, and no other file holds one.
func TestOnlyTheOwnerReadsSecrets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth")
	initDir(t, path, false)
	for name, text := range read(t, path) {
		info, err := os.Stat(path + name)
		if err != nil {
			t.Fatal(err)
		}
		kubernetes := strings.HasPrefix(name, "/"+KubernetesDir+"/") && !strings.HasSuffix(name, "kustomization.yaml")
		if secret := isSecret(name) || kubernetes; secret != (info.Mode().Perm() == 0o600) {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		if !isSecret(name) && strings.Contains(text, "\nSU") {
			t.Errorf("%s holds a seed", name)
		}
	}
}

func TestCredentialsSayWhoseTheyAre(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth")
	d := initDir(t, path, false)
	for _, want := range d.Users {
		got, err := ReadCredential(d.Seed(want))
		if err != nil || got.Role != want.Role || got.Group != want.Group || got.Key != want.Key {
			t.Errorf("%s: %+v, %v", want.Name(), got, err)
		}
	}
	for text, want := range map[string]string{
		"": "no seed", "SUBAD": "no seed", "# autoresearch: worker Gr*up\n" + seedLine(t, d.Seed(d.Users[0])): "lower-case",
	} {
		file := filepath.Join(t.TempDir(), "seed")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCredential(file); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SUBAD") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func seedLine(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	return lines[slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "SU") })]
}

func TestRefusedGroups(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth")
	if err := open(t, path).AddWorkers(User{Group: "gpu"}, false); err == nil || !strings.Contains(err.Error(), "auth init") {
		t.Errorf("before init: %v", err)
	}
	initDir(t, path, false)
	for _, u := range []User{
		{Group: ""}, {Group: "GPU"}, {Group: "a.b"}, {Group: "*"}, {Group: "../x"}, {Group: "-"}, {Group: strings.Repeat("x", 41)},
		{Group: "a\nb"}, {Group: "a", Classes: []string{""}}, {Group: "a", Runs: []string{""}},
	} {
		if err := open(t, path).AddWorkers(u, false); err == nil {
			t.Errorf("%+v was taken", u)
		}
	}
}
