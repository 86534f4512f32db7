package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"autoresearch/pkg/snapshot"
)

// The files that this package writes into a workdir.
const (
	ReportFile   = "report.md"
	SummaryFile  = "summary.md"
	TableFile    = "master_table.tsv"
	ProgressFile = "progress.png"
	TreePicture  = "hypothesis_tree.png"
)

// WriteAll writes summary.md, master_table.tsv, progress.png and hypothesis_tree.png, each atomically. It writes as many
// of them as it can and returns the errors of the others.
func WriteAll(workdir string, s Search) error {
	return errors.Join(
		writeMade(workdir, SummaryFile, func() ([]byte, error) { return []byte(look(s).summary()), nil }),
		writeMade(workdir, TableFile, func() ([]byte, error) { return MasterTable(s), nil }),
		writeMade(workdir, ProgressFile, func() ([]byte, error) { return drawn(ProgressPNG, s) }),
		writeMade(workdir, TreePicture, func() ([]byte, error) { return drawn(TreePNG, s) }),
	)
}

// WriteReport writes report.md atomically.
func WriteReport(workdir, text string) error {
	return writeMade(workdir, ReportFile, func() ([]byte, error) { return []byte(text), nil })
}

func drawn(draw func(io.Writer, Search) error, s Search) ([]byte, error) {
	var out bytes.Buffer
	err := draw(&out, s)
	return out.Bytes(), err
}

// writeMade makes the content of a file and writes it. A report is never worth the life of the process that makes it:
// a panic (the drawing library's, on a font it cannot read) is an error of this one file.
func writeMade(workdir, name string, content func() ([]byte, error)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("make %s: panic: %v", name, r)
		}
	}()
	made, err := content()
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return snapshot.WriteFile(filepath.Join(workdir, name), made)
}
