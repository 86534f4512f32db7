package workflow

import (
	"context"
	"errors"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"autoresearch/internal/code"
	"autoresearch/pkg/spec"
)

// Code is the section "code" of a kind: the source tree that its tasks run in, of a directory or of a git commit.
type Code struct {
	// Dir is a directory, relative to that of the workflow file.
	Dir string
	// Ignore are patterns of what is left out of Dir, beside code.Ignored.
	Ignore []string
	// Git is a repository, a URL or a path relative to the workflow file's directory; Commit is the full hash of one of its commits.
	Git, Commit string
	// Limits bound the tree.
	Limits code.Limits
}

// Local reports whether the code is read from the coordinator's machine, or with what that machine may reach by more than HTTPS.
func (c *Code) Local() bool { return !strings.HasPrefix(c.Git, "https://") }

func (r *reader) codeKeys(c *Code) keys {
	return keys{
		"dir":       func(n *node, field string) { c.Dir = r.text(n, field) },
		"ignore":    func(n *node, field string) { c.Ignore = r.patterns(n, field) },
		"git":       func(n *node, field string) { c.Git = r.repository(n, field) },
		"commit":    func(n *node, field string) { c.Commit = r.commit(n, field) },
		"max_bytes": func(n *node, field string) { c.Limits.Bytes = r.size(n, field) },
		"max_files": func(n *node, field string) { c.Limits.Files = r.integer(n, field, 1, code.FilesMax) },
	}
}

// code reads the section of that name.
func (r *reader) code(n *node, field string) *Code {
	c := &Code{}
	before := len(r.problems)
	r.object(n, field, r.codeKeys(c))
	switch {
	case len(r.problems) > before:
	case (c.Dir == "") == (c.Git == ""):
		r.refuse(n.at, field, "code comes from one place: {dir: PATH}, or {git: REPOSITORY, commit: HASH}")
	case c.Git != "" && c.Commit == "":
		r.refuse(n.at, field, "say which commit of the repository, by its full hash (git rev-parse HEAD)")
	case c.Dir != "" && c.Commit != "":
		r.refuse(n.at, under(field, "commit"), "a directory has no commit; name its repository with git")
	case c.Git != "" && len(c.Ignore) > 0:
		r.refuse(n.at, under(field, "ignore"), "a commit is taken whole")
	}
	return c
}

func (r *reader) patterns(n *node, field string) (patterns []string) {
	if n.shape != listShape {
		r.refuse(n.at, field, "%s where a list of patterns is needed, like [data, \"*.ckpt\"]", n.what())
		return nil
	}
	for i, item := range n.items {
		pattern := r.text(item, at(field, i))
		if _, err := path.Match(pattern, ""); err != nil {
			r.refuse(item.at, at(field, i), "%q is no pattern: %v", pattern, err)
		}
		patterns = append(patterns, strings.TrimSuffix(pattern, "/"))
	}
	return patterns
}

func (r *reader) repository(n *node, field string) string {
	from := r.text(n, field)
	if strings.HasPrefix(from, "-") || strings.Contains(from, "::") {
		r.refuse(n.at, field, "%q is neither a URL nor a path", from)
	}
	if u, err := url.Parse(from); err == nil && u.User != nil && hasSecret(u) {
		r.refuse(n.at, field, "a workflow holds no password or token: leave it out of the URL, and give git one where the coordinator runs "+
			"(git config credential.helper)")
	}
	return from
}

// hasSecret reports whether a URL has a password, or what hosts of git take in its place as a name over HTTP.
func hasSecret(u *url.URL) bool {
	_, password := u.User.Password()
	return password || u.Scheme == "https" || u.Scheme == "http"
}

func (r *reader) commit(n *node, field string) string {
	hash := r.text(n, field)
	if hash != "" && !code.IsFullHash(hash) {
		r.refuse(n.at, field, "%q is not the full hash of a commit (git rev-parse HEAD): anything shorter may name another one day", hash)
	}
	return hash
}

// PackCode returns the bundle of the source tree that tasks of a kind run in, nil when they bring none. A commit is fetched
// once; a directory is read anew each time, since it may have been edited.
func (c *Command) PackCode(ctx context.Context, kind string) (bundle []byte, commit string, err error) {
	k := c.file.kind(kind)
	switch {
	case k == nil || k.Code == nil:
		return nil, "", nil
	case k.Code.Git != "":
		bundle, err = c.commits.pack(ctx, k.Code.commit(c.file.Dir))
		return bundle, k.Code.Commit, err
	}
	bundle, err = k.Code.tree(c.file.Dir, c.workdir).Pack(ctx)
	return bundle, "", err
}

// tree is a directory without the workdir, which changes all the time.
func (c *Code) tree(dir, workdir string) code.Tree {
	t := code.Tree{Dir: c.Dir, Ignore: c.Ignore, Limits: c.Limits}
	if !filepath.IsAbs(t.Dir) {
		t.Dir = filepath.Join(dir, t.Dir)
	}
	if absolute, err := filepath.Abs(workdir); err == nil && workdir != "" {
		t.Without = absolute
	}
	return t
}

func (c *Code) commit(dir string) code.Commit {
	from := c.Git
	if host, _, remote := strings.Cut(from, ":"); !filepath.IsAbs(from) && (!remote || strings.Contains(host, "/")) {
		from = filepath.Join(dir, from)
	}
	return code.Commit{Repository: from, Revision: c.Commit, Limits: c.Limits}
}

// commits are the bundles of commits that were fetched.
type commits struct {
	mu      sync.Mutex
	bundles map[code.Commit][]byte
}

func (c *commits) pack(ctx context.Context, commit code.Commit) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bundle, known := c.bundles[commit]; known {
		return bundle, nil
	}
	bundle, _, err := commit.Pack(ctx)
	if err != nil {
		return nil, err
	}
	if c.bundles == nil {
		c.bundles = map[code.Commit][]byte{}
	}
	c.bundles[commit] = bundle
	return bundle, nil
}

// checkCode refuses a task of a kind that brings code and that has none: it would run another.
func (k *Kind) checkCode(task spec.TaskSpec) error {
	if k.Code != nil && task.Code.IsZero() {
		return errors.New("code: the task has none: it was submitted before the kind had any, or its code could not be had then; submit it again")
	}
	return nil
}
