package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	s, err := Load(filepath.Join("testdata", "demo"))
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"demo.report.md":        Markdown(s),
		"demo.summary.md":       look(s).summary(),
		"demo.master_table.tsv": string(MasterTable(s)),
		"empty.report.md":       Markdown(Search{}),
		"empty.summary.md":      look(Search{}).summary(),
	} {
		compareGolden(t, filepath.Join("testdata", name), got)
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}
