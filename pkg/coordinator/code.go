package coordinator

import (
	"context"
	"errors"
	"fmt"

	"autoresearch/pkg/spec"
)

// pin stores the code that tasks of the specs' kinds bring, as it is now, and writes its name into the specs: whatever is edited
// later, all attempts of a task run that. A spec whose code could not be had has none, and its error is among those returned.
func (t *term) pin(ctx context.Context, specs []spec.TaskSpec) error {
	packer, packs := t.c.o.Workflow.(spec.Packer)
	pinned := make(map[string]spec.Code)
	var errs []error
	for i := range specs {
		ts := &specs[i]
		ts.Code = spec.Code{}
		if !packs {
			continue
		}
		code, known := pinned[ts.Kind]
		if !known {
			var err error
			if code, err = t.pack(ctx, packer, ts.Kind); err != nil {
				errs = append(errs, fmt.Errorf("the code of kind %q cannot be had: %w", ts.Kind, err))
			}
			pinned[ts.Kind] = code
		}
		ts.Code = code
	}
	return errors.Join(errs...)
}

func (t *term) pack(ctx context.Context, packer spec.Packer, kind string) (spec.Code, error) {
	packing, cancel := t.c.host.Within(ctx, t.c.o.HookTimeout)
	defer cancel()
	bundle, commit, err := packer.PackCode(packing, kind)
	if err != nil || bundle == nil {
		return spec.Code{}, err
	}
	blob, err := t.c.blobs.put(ctx, bundle)
	return spec.Code{Bundle: blob, Commit: commit}, err
}

// complete makes specs ready to be journaled: their code is pinned, and stored is what no record holds.
func (t *term) complete(ctx context.Context, specs []spec.TaskSpec) error {
	return errors.Join(t.pin(ctx, specs), errors.Join(t.spill(ctx, specs)...))
}
