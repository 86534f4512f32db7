package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Registry holds the workflow factories of one binary by their names: short ones, or "module.path:factory_name". It is
// safe for concurrent use.
type Registry struct {
	mu        sync.Mutex
	factories map[string]WorkflowFactory
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{factories: map[string]WorkflowFactory{}} }

// Register adds a factory under a name that is not empty and not taken.
func (r *Registry) Register(name string, f WorkflowFactory) error {
	if name == "" || f == nil {
		return errors.New("register workflow factory: a name and a factory are required")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.factories[name]; taken {
		return fmt.Errorf("register workflow factory %q: the name is taken", name)
	}
	r.factories[name] = f
	return nil
}

// Lookup returns the factory of a name. The error of an unknown name lists the known ones.
func (r *Registry) Lookup(name string) (WorkflowFactory, error) {
	r.mu.Lock()
	f, ok := r.factories[name]
	r.mu.Unlock()
	if ok {
		return f, nil
	}
	known := strings.Join(r.Names(), ", ")
	if known == "" {
		known = "none"
	}
	return nil, fmt.Errorf("workflow factory %q is not registered; known: %s", clip(name), known)
}

// Names returns the registered names, sorted.
func (r *Registry) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.factories))
}
