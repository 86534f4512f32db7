package manifests

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestCoordinatorsReachEachOther: any coordinator answers for any run, by asking the one that leads it. So what the policies let in
// and out of a coordinator must have the port of its API, to and from its like.
func TestCoordinatorsReachEachOther(t *testing.T) {
	t.Parallel()
	for _, dir := range builds(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			_, objects := build(t, dir)
			coordinator, there := named(objects, "Deployment")["coordinator"]
			if !there {
				t.Skip("it has no coordinator")
			}
			labels := at(coordinator, "spec", "template", "metadata", "labels")
			for _, way := range []struct{ kind, rules, peers string }{{"Ingress", "ingress", "from"}, {"Egress", "egress", "to"}} {
				closed, open := false, false
				for _, policy := range named(objects, "NetworkPolicy") {
					spec := at(policy, "spec")
					kinds, _ := at(spec, "policyTypes").([]any)
					if chooses(at(spec, "podSelector"), labels) && slices.Contains(kinds, any(way.kind)) {
						closed = true
						open = open || lets(at(spec, way.rules), way.peers, labels)
					}
				}
				if closed && !open {
					t.Errorf("%s: no policy lets coordinators speak with each other", way.kind)
				}
			}
		})
	}
}

// apiPort is the port of a coordinator's API.
const apiPort = 8080

// lets reports whether one of a policy's rules is about pods with these labels and the API's port.
func lets(rules any, peers string, labels any) bool {
	list, _ := rules.([]any)
	return slices.ContainsFunc(list, func(rule any) bool {
		who, _ := at(rule, peers).([]any)
		ports, _ := at(rule, "ports").([]any)
		return slices.ContainsFunc(who, func(peer any) bool { return chooses(at(peer, "podSelector"), labels) }) &&
			slices.ContainsFunc(ports, func(port any) bool { return at(port, "port") == apiPort })
	})
}

// chooses reports whether a policy's selector, {} being everything, takes pods with these labels.
func chooses(selector, labels any) bool {
	s, ok := selector.(object)
	if !ok {
		return false
	}
	if len(s) == 0 {
		return true
	}
	expressions, _ := s["matchExpressions"].([]any)
	for _, e := range expressions {
		key, _ := at(e, "key").(string)
		values, _ := at(e, "values").([]any)
		if at(e, "operator") != "In" || !slices.Contains(values, at(labels, key)) {
			return false
		}
	}
	return s["matchLabels"] == nil || matches(s["matchLabels"], labels)
}
