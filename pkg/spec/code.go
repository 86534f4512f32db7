package spec

import "context"

// Code names the source tree that a task runs in. The zero Code names none: the command runs where its recipe says.
type Code struct {
	// Bundle is the tree as one blob in the object store; its digest names the tree.
	Bundle Blob
	// Commit is the full hash of the git commit that holds it; empty when it comes from a directory.
	Commit string
}

// IsZero reports whether c names no tree.
func (c Code) IsZero() bool { return c == Code{} }

// Packer is a Workflow whose tasks bring their code along. PackCode returns the bundle of the tree that tasks of a kind run in,
// as it is now, and the commit that holds it, if one does; nil for a kind that brings none. It is called when tasks are
// submitted, off the engine's loop, and may be called concurrently: all attempts of a task run what it returned then.
type Packer interface {
	PackCode(ctx context.Context, kind string) (bundle []byte, commit string, err error)
}
