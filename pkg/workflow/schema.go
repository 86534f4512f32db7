package workflow

import (
	_ "embed"
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of a workflow file, for editors. It knows the keys, the types and the simple
// bounds; Parse checks more.
func Schema() []byte { return slices.Clone(schema) }
