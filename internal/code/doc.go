// Package code turns a tree of source files into a bundle and back: one file that is the same, byte for byte, for the same
// tree, so that its hash names the tree. A bundle is a tar archive of files and links, in the order of their paths, with no
// times and no owners, and of the modes only whether a file is executable. Directories stand only in the paths of what they hold.
//
// A bundle is read as coming from an enemy: what it makes lies in its directory, and no link in it leads out.
package code

import (
	"cmp"
	"errors"
	"path"
	"strings"
)

// Defaults of Limits.
const (
	BytesDefault = 64 << 20
	FilesDefault = 10_000
)

// Limits bound a tree; zero fields mean the defaults.
type Limits struct {
	Bytes int64 // of its bundle
	Files int   // and links
}

func (l Limits) withDefaults() Limits {
	return Limits{Bytes: cmp.Or(l.Bytes, BytesDefault), Files: cmp.Or(l.Files, FilesDefault)}
}

// FilesMax is how many files and links a worker unpacks, whatever the workflow allows.
const FilesMax = 1_000_000

// errLimit: the tree is too large.
var errLimit = errors.New("too large")

// checkLink refuses a link that may lead out of the tree. Up is allowed only in the beginning of a target, where it goes from one
// real directory to the next: further on it would go up from wherever another link leads.
func checkLink(name, target string) error {
	if target == "" || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return errors.New("its target is not relative")
	}
	rest, up := target, 0
	for {
		after, more := strings.CutPrefix(rest, "../")
		if !more {
			break
		}
		rest, up = after, up+1
	}
	if rest == ".." {
		rest, up = "", up+1
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == ".." {
			return errors.New("its target goes up behind its beginning")
		}
	}
	if up > strings.Count(name, "/") {
		return errors.New("it leads out of the tree")
	}
	return nil
}
