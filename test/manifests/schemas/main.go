// Command schemas writes the JSON schemas of Kubernetes' kinds and of CRDs, one file a kind, as kubeconform reads them. They
// are strict: a field that the API does not know is an error.
//
//	schemas -out DIR swagger.json crd.yaml...
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

func main() {
	out := flag.String("out", "", "`DIR` for the schemas")
	flag.Parse()
	if *out == "" || flag.NArg() < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*out, flag.Arg(0), flag.Args()[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(out, swagger string, crds []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := writeKinds(out, swagger); err != nil {
		return fmt.Errorf("%s: %w", swagger, err)
	}
	for _, path := range crds {
		if err := writeCRD(out, path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// object is a JSON object that is only passed on.
type object = map[string]any

// groupVersionKind names a kind as the API description does.
type groupVersionKind struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

// fileName is where kubeconform looks for a kind: "{{.ResourceKind}}{{.KindSuffix}}.json".
func (k groupVersionKind) fileName() string {
	group, _, _ := strings.Cut(k.Group, ".")
	parts := []string{k.Kind, group, k.Version}
	if group == "" {
		parts = []string{k.Kind, k.Version}
	}
	return strings.ToLower(strings.Join(parts, "-")) + ".json"
}

func write(out string, k groupVersionKind, schema object) error {
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, k.fileName()), text, 0o644)
}

// writeKinds writes each definition of the API that is a kind, with those that it refers to.
func writeKinds(out, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var api struct {
		Definitions map[string]object `json:"definitions"`
	}
	if err := json.Unmarshal(text, &api); err != nil {
		return err
	}
	for name, definition := range api.Definitions {
		api.Definitions[name] = strict(definition).(object)
	}
	for name, definition := range api.Definitions {
		for _, k := range kindsOf(definition) {
			used := make(map[string]object)
			gather(api.Definitions, definition, used)
			schema := object{"$ref": "#/definitions/" + name, "definitions": used}
			used[name] = definition
			if err := write(out, k, schema); err != nil {
				return err
			}
		}
	}
	return nil
}

func kindsOf(definition object) (kinds []groupVersionKind) {
	text, err := json.Marshal(definition["x-kubernetes-group-version-kind"])
	if err != nil || json.Unmarshal(text, &kinds) != nil {
		return nil
	}
	return kinds
}

// gather collects the definitions that a schema refers to.
func gather(all map[string]object, schema any, used map[string]object) {
	switch s := schema.(type) {
	case []any:
		for _, item := range s {
			gather(all, item, used)
		}
	case object:
		for key, value := range s {
			ref, isText := value.(string)
			name, isRef := strings.CutPrefix(ref, "#/definitions/")
			if _, known := used[name]; key == "$ref" && isText && isRef && !known {
				used[name] = all[name]
				gather(all, all[name], used)
			}
			gather(all, value, used)
		}
	}
}

// strict closes every object that lists its fields, and lets null stand for a field that is left out, as the API server does.
func strict(schema any) any {
	s, isObject := schema.(object)
	if !isObject {
		return schema
	}
	if s["x-kubernetes-int-or-string"] == true || s["format"] == "int-or-string" {
		return object{"type": []any{"string", "integer"}}
	}
	for _, key := range []string{"properties", "definitions", "patternProperties"} {
		if fields, ok := s[key].(object); ok {
			for name, field := range fields {
				fields[name] = strict(field)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if s[key] != nil {
			s[key] = strict(s[key])
		}
	}
	_, lists := s["properties"]
	if _, open := s["additionalProperties"]; lists && !open && s["x-kubernetes-preserve-unknown-fields"] != true {
		s["additionalProperties"] = false
	}
	return s
}

// crd is what a CustomResourceDefinition says of its versions.
type crd struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Group string `yaml:"group"`
		Names struct {
			Kind string `yaml:"kind"`
		} `yaml:"names"`
		Versions []struct {
			Name   string `yaml:"name"`
			Schema struct {
				OpenAPI object `yaml:"openAPIV3Schema"`
			} `yaml:"schema"`
		} `yaml:"versions"`
	} `yaml:"spec"`
}

func writeCRD(out, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c crd
	if err := yaml.Unmarshal(text, &c); err != nil {
		return err
	}
	for _, v := range c.Spec.Versions {
		schema := strict(v.Schema.OpenAPI).(object)
		// The schema of a CRD leaves out what every object has.
		schema["properties"].(object)["metadata"] = object{"type": "object"}
		k := groupVersionKind{Group: c.Spec.Group, Version: v.Name, Kind: c.Spec.Names.Kind}
		if err := write(out, k, schema); err != nil {
			return err
		}
	}
	return nil
}
