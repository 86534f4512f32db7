// Package manifests holds the tests of what is deployed: they need no cluster, but tools that `make k8s-check` installs.
package manifests

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// tools is where kustomize, kubeconform and the schemas lie; without it the tests that need them are skipped.
var tools = flag.String("tools", "", "`DIR` of kustomize, kubeconform and schemas")

const root = "../.."

// object is a Kubernetes object, or a part of one.
type object = map[string]any

// builds are the folders that are applied as they are, and some that use the components as their comments say.
func builds(t *testing.T) (dirs []string) {
	t.Helper()
	if *tools == "" {
		t.Skip("it needs the tools of make k8s-check")
	}
	for _, pattern := range []string{root + "/deploy/k8s/base", root + "/deploy/k8s/overlays/*", "testdata/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no folders %s (%v)", pattern, err)
		}
		dirs = append(dirs, found...)
	}
	return dirs
}

// quietly runs a program that must succeed and say nothing on standard error.
func quietly(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out.Bytes(), complaints.Bytes())
	}
	return out.Bytes()
}

// build returns the text and the objects of a folder.
func build(t *testing.T, dir string) (text []byte, objects []object) {
	t.Helper()
	text = quietly(t, filepath.Join(*tools, "kustomize"), "build", dir)
	for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var o object
		if err := yaml.Unmarshal(part, &o); err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		objects = append(objects, o)
	}
	return text, objects
}

// at follows keys into an object; nil when there is nothing.
func at(o any, keys ...string) any {
	for _, key := range keys {
		fields, ok := o.(object)
		if !ok {
			return nil
		}
		o = fields[key]
	}
	return o
}

// named returns the objects of a kind by name.
func named(objects []object, kind string) map[string]object {
	found := make(map[string]object)
	for _, o := range objects {
		if o["kind"] == kind {
			found[at(o, "metadata", "name").(string)] = o
		}
	}
	return found
}

// TestBuildsAreValid holds every build against the schemas of Kubernetes and of the CRDs.
func TestBuildsAreValid(t *testing.T) {
	t.Parallel()
	for _, dir := range builds(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			text, _ := build(t, dir)
			cmd := exec.CommandContext(t.Context(), filepath.Join(*tools, "kubeconform"), "-strict", "-summary",
				"-schema-location", *tools+"/schemas/{{.ResourceKind}}{{.KindSuffix}}.json", "-")
			cmd.Stdin = bytes.NewReader(text)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Invalid: 0, Errors: 0, Skipped: 0") {
				t.Errorf("kubeconform: %v\n%s", err, out)
			}
		})
	}
}

// workloads are the kinds that make pods.
var workloads = []string{"Deployment", "StatefulSet", "Job"}

// TestReferencesAreThere: whatever a pod names of its namespace is in the build, but for Secrets, which are nobody's to keep in a file.
func TestReferencesAreThere(t *testing.T) {
	t.Parallel()
	for _, dir := range builds(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			_, objects := build(t, dir)
			configs, accounts := named(objects, "ConfigMap"), named(objects, "ServiceAccount")
			for _, o := range objects {
				if !slices.Contains(workloads, o["kind"].(string)) {
					continue
				}
				spec := at(o, "spec", "template", "spec")
				if account, named := at(spec, "serviceAccountName").(string); named && accounts[account] == nil {
					t.Errorf("%v uses the account %q", at(o, "metadata", "name"), account)
				}
				for _, name := range configMaps(spec) {
					if configs[name] == nil {
						t.Errorf("%v uses the ConfigMap %q, of %v", at(o, "metadata", "name"), name, slices.Sorted(maps.Keys(configs)))
					}
				}
			}
		})
	}
}

// configMaps lists the ConfigMaps that a pod's spec names.
func configMaps(part any) (names []string) {
	switch p := part.(type) {
	case []any:
		for _, item := range p {
			names = append(names, configMaps(item)...)
		}
	case object:
		for key, value := range p {
			if name, ok := at(value, "name").(string); ok && (key == "configMap" || key == "configMapKeyRef") {
				names = append(names, name)
			}
			names = append(names, configMaps(value)...)
		}
	}
	return names
}

// TestSelectorsChooseThePodsOfOne: no two workloads' selectors match the pods of the other, and each budget guards pods.
func TestSelectorsChooseThePodsOfOne(t *testing.T) {
	t.Parallel()
	for _, dir := range builds(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			_, objects := build(t, dir)
			chosen := func(selector any) (names []string) {
				for _, o := range objects {
					if slices.Contains(workloads, o["kind"].(string)) && matches(selector, at(o, "spec", "template", "metadata", "labels")) {
						names = append(names, at(o, "metadata", "name").(string))
					}
				}
				return names
			}
			for _, o := range objects {
				kind, name := o["kind"].(string), at(o, "metadata", "name").(string)
				switch pods := chosen(at(o, "spec", "selector", "matchLabels")); {
				case slices.Contains(workloads, kind) && kind != "Job" && !slices.Equal(pods, []string{name}),
					kind == "PodDisruptionBudget" && len(pods) != 1:
					t.Errorf("%s %s chooses the pods of %v", kind, name, pods)
				}
			}
		})
	}
}

func matches(selector, labels any) bool {
	s, _ := selector.(object)
	for key, value := range s {
		if at(labels, key) != value {
			return false
		}
	}
	return len(s) > 0
}
