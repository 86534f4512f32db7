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

// makers are the files that are made from a Search alone, in the order in which people look for them, and how.
var makers = []struct {
	file string
	make func(Search) ([]byte, error)
}{
	{ReportFile, func(s Search) ([]byte, error) { return []byte(Markdown(s)), nil }},
	{SummaryFile, func(s Search) ([]byte, error) { return []byte(look(s).summary()), nil }},
	{TableFile, func(s Search) ([]byte, error) { return MasterTable(s), nil }},
	{ProgressFile, func(s Search) ([]byte, error) { return drawn(ProgressPNG, s) }},
	{TreePicture, func(s Search) ([]byte, error) { return drawn(TreePNG, s) }},
}

// Files are the names of what Make makes.
func Files() []string {
	names := make([]string, len(makers))
	for i, m := range makers {
		names[i] = m.file
	}
	return names
}

// Make makes the content of one of Files. A report is never worth the life of the process that makes it: a panic (the drawing
// library's, on a font it cannot read) is an error of this one file.
func Make(file string, s Search) ([]byte, error) {
	for _, m := range makers {
		if m.file == file {
			return made(file, func() ([]byte, error) { return m.make(s) })
		}
	}
	return nil, fmt.Errorf("make %s: a report has no such file", file)
}

// made makes the content of a file.
func made(file string, make func() ([]byte, error)) (content []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("make %s: panic: %v", file, r)
		}
	}()
	if content, err = make(); err != nil {
		return nil, fmt.Errorf("make %s: %w", file, err)
	}
	return content, nil
}

// WriteAll writes summary.md, master_table.tsv, progress.png and hypothesis_tree.png, each atomically. It writes as many
// of them as it can and returns the errors of the others. report.md is the workflow's: see WriteReport.
func WriteAll(workdir string, s Search) error {
	var errs []error
	for _, file := range Files() {
		if file == ReportFile {
			continue
		}
		content, err := Make(file, s)
		if err == nil {
			err = snapshot.WriteFile(filepath.Join(workdir, file), content)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// WriteReport writes report.md atomically.
func WriteReport(workdir, text string) error {
	return snapshot.WriteFile(filepath.Join(workdir, ReportFile), []byte(text))
}

func drawn(draw func(io.Writer, Search) error, s Search) ([]byte, error) {
	var out bytes.Buffer
	err := draw(&out, s)
	return out.Bytes(), err
}
