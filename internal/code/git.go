package code

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Commit is a commit of a git repository.
type Commit struct {
	// Repository is an absolute path or a URL; Revision names a commit of it: its full hash names it for ever.
	Repository string
	Revision   string
	Limits     Limits
}

// IsFullHash reports whether a revision is what a commit is called once and for all.
func IsFullHash(revision string) bool { return fullHash.MatchString(revision) }

var fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Pack fetches the commit and returns its bundle and full hash. It needs the program git, and runs nothing that the repository
// brings: no hooks, no filters, no submodules.
func (c Commit) Pack(ctx context.Context) (bundle []byte, hash string, err error) {
	bundle, hash, err = c.pack(ctx)
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("the program git is needed for code.git: %w", err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("pack %s of %s: %w", c.Revision, c.Repository, err)
	}
	return bundle, hash, nil
}

func (c Commit) pack(ctx context.Context) (bundle []byte, hash string, err error) {
	scratch, err := os.MkdirTemp("", "autoresearch-git-")
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	g := git{dir: scratch}
	if _, err := g.run(ctx, "init", "--quiet", "--bare", "--template="); err != nil {
		return nil, "", err
	}
	// Not what the commit's own attributes ask for, but its bytes.
	attributes := []byte("* -export-ignore -export-subst -text -eol -ident -filter -working-tree-encoding\n")
	if err := os.MkdirAll(filepath.Join(scratch, "info"), 0o755); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(filepath.Join(scratch, "info", "attributes"), attributes, 0o644); err != nil {
		return nil, "", err
	}
	if hash, err = g.fetch(ctx, c.Repository, c.Revision); err != nil {
		return nil, "", err
	}
	archive, err := g.archive(ctx, hash, c.Limits.withDefaults().Bytes)
	if err != nil {
		return nil, "", err
	}
	bundle, err = repack(archive, c.Limits.withDefaults())
	return bundle, hash, err
}

// git runs the program in a repository of its own.
type git struct{ dir string }

// fetch gets one commit and returns its hash: alone where the server gives single commits, else among all there are.
func (g git) fetch(ctx context.Context, from, revision string) (string, error) {
	_, err := g.run(ctx, "fetch", "--quiet", "--no-tags", "--depth=1", "--", from, revision)
	if err == nil {
		return g.commit(ctx, "FETCH_HEAD")
	}
	_, all := g.run(ctx, "fetch", "--quiet", "--tags", "--", from, "+refs/heads/*:refs/heads/*")
	if all != nil {
		return "", err
	}
	return g.commit(ctx, revision)
}

func (g git) commit(ctx context.Context, revision string) (string, error) {
	out, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("there is no such commit: %w", err)
	}
	hash := strings.TrimSpace(string(out))
	if !IsFullHash(hash) {
		return "", fmt.Errorf("git says %.80q where a commit's hash is expected", hash)
	}
	return hash, nil
}

// archive returns a commit's tree as git writes it, unless that is larger than the limit.
func (g git) archive(ctx context.Context, hash string, limit int64) ([]byte, error) {
	room := limit + limit/4 + 1<<20 // entries of directories are in it, which a bundle has not
	out, err := g.limited(ctx, room, "archive", "--format=tar", hash)
	if err == nil && int64(len(out)) > room {
		err = fmt.Errorf("%w: more than %d bytes (code.max_bytes)", errLimit, limit)
	}
	return out, err
}

func (g git) run(ctx context.Context, args ...string) ([]byte, error) {
	return g.limited(ctx, 1<<20, args...)
}

// limited runs git and returns up to one byte more than limit of what it prints.
func (g git) limited(ctx context.Context, limit int64, args ...string) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", slices.Concat([]string{"-C", g.dir}, args)...)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ALLOW_PROTOCOL=file:git:http:https:ssh", "GIT_DIR="+g.dir)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(pipe, limit+1))
	if int64(len(out)) > limit {
		cancel()
		_ = cmd.Wait() // killed for what it has printed already
		return out, nil
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out, nil
}

// repack makes a bundle of git's archive.
func repack(archive []byte, limits Limits) ([]byte, error) {
	entries, err := readArchive(archive, limits)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b archived) int { return strings.Compare(a.header.Name, b.header.Name) })
	p := packer{limits: limits}
	p.tar = tar.NewWriter(&p.out)
	for _, e := range entries {
		if err := p.tar.WriteHeader(e.header); err != nil {
			return nil, fmt.Errorf("%s: %w", e.header.Name, err)
		}
		if _, err := p.tar.Write(e.data); err != nil {
			return nil, fmt.Errorf("%s: %w", e.header.Name, err)
		}
	}
	if err := p.tar.Close(); err != nil {
		return nil, err
	}
	if int64(p.out.Len()) > limits.Bytes {
		return nil, p.tooLarge()
	}
	return p.out.Bytes(), nil
}

type archived struct {
	header *tar.Header
	data   []byte
}

func readArchive(archive []byte, limits Limits) (entries []archived, err error) {
	for from := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			data, err := io.ReadAll(from)
			if err != nil {
				return nil, err
			}
			entries = append(entries, archived{fileHeader(h.Name, int64(len(data)), h.Mode&0o100 != 0), data})
		case tar.TypeSymlink:
			if err := checkLink(h.Name, h.Linkname); err != nil {
				return nil, fmt.Errorf("%s: a link: %w", h.Name, err)
			}
			entries = append(entries, archived{header: linkHeader(h.Name, h.Linkname)})
		}
		if len(entries) > limits.Files {
			return nil, fmt.Errorf("%w: more than %d files (code.max_files)", errLimit, limits.Files)
		}
	}
}
