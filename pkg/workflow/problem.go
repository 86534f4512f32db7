package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a workflow file.
type Problem struct {
	// File is the path the file was read under.
	File string
	// Line and Column say where, from 1; both are 0 when the problem has no place.
	Line, Column int
	// Override is the command-line argument the problem lies in; empty when it lies in the file.
	Override string
	// Field is the dotted path of the value, with the index of a list entry as a number; empty for the whole file.
	Field string
	// Message says what is wrong and, where that is known, how to write it.
	Message string
}

// Error returns the problem as one line: "file.yaml:12:5: kinds.experiment.timeout: ...".
func (p Problem) Error() string {
	var line strings.Builder
	switch {
	case p.Override != "":
		fmt.Fprintf(&line, "override %s: ", p.Override)
	case p.Line > 0:
		fmt.Fprintf(&line, "%s:%d:%d: ", p.File, p.Line, p.Column)
	default:
		fmt.Fprintf(&line, "%s: ", p.File)
	}
	if p.Field != "" {
		line.WriteString(p.Field + ": ")
	}
	return line.String() + p.Message
}

// Problems is the error of a file: everything wrong with it, in the order of the file, overrides last.
type Problems []Problem

// problemsShown bounds the lines of Problems.Error.
const problemsShown = 50

// Error returns one line a problem, at most 50 of them.
func (p Problems) Error() string {
	lines := make([]string, 0, min(len(p), problemsShown)+1)
	for _, problem := range p[:min(len(p), problemsShown)] {
		lines = append(lines, problem.Error())
	}
	if more := len(p) - problemsShown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// sorted puts the problems in the order of the file.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.Override, b.Override),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	return p
}

// nearest returns the candidate a misspelt word was probably meant to be, or "" when none is close.
func nearest(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(word), candidate, distance); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace to turn a into b. Words whose lengths alone differ by
// limit or more are not compared: their distance is given as limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
