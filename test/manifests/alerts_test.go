package manifests

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// alert is a rule of Prometheus.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Annotations map[string]string `yaml:"annotations"`
}

// rules returns the text of the groups, as Prometheus without an operator reads them, and the alerts in it.
func rules(t *testing.T) (text []byte, alerts []alert) {
	t.Helper()
	source, err := os.ReadFile(root + "/deploy/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var resource struct {
		Spec yaml.Node `yaml:"spec"`
	}
	var spec struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(source, &resource); err != nil {
		t.Fatal(err)
	}
	if err := resource.Spec.Decode(&spec); err != nil {
		t.Fatal(err)
	}
	for _, g := range spec.Groups {
		alerts = append(alerts, g.Rules...)
	}
	if text, err = yaml.Marshal(&resource.Spec); err != nil || len(alerts) == 0 {
		t.Fatalf("no alerts (%v)", err)
	}
	return text, alerts
}

// installed returns the path of a program of Debian's package prometheus, or skips the test.
func installed(t *testing.T, name string) string {
	t.Helper()
	if *tools == "" {
		t.Skip("it runs in make k8s-check")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: there is no %s; Debian has it in its package prometheus", name)
	}
	return path
}

// TestAlerts has promtool check the alerts, and play the tests that stand beside them.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool, dir := installed(t, "promtool"), t.TempDir()
	text, _ := rules(t)
	tests, err := os.ReadFile(root + "/deploy/monitoring/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"rules.yaml": text, "rules_test.yaml": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quietly(t, promtool, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(dir, "rules.yaml"))
	quietly(t, promtool, "test", "rules", filepath.Join(dir, "rules_test.yaml"))
}

// TestAlertsAreExplained: each alert has a case beside it, and the section of the handbook that it points to.
func TestAlertsAreExplained(t *testing.T) {
	t.Parallel()
	_, alerts := rules(t)
	tests, err := os.ReadFile(root + "/deploy/monitoring/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if !bytes.Contains(tests, fmt.Appendf(nil, "alertname=%q", a.Alert)) {
			t.Errorf("%s has no case in rules_test.yaml", a.Alert)
		}
		page, anchor, _ := strings.Cut(a.Annotations["runbook_url"], "#")
		handbook, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Errorf("%s: %v", a.Alert, err)
			continue
		}
		section := regexp.MustCompile(`(?m)^### ` + a.Alert + `$`)
		if anchor != strings.ToLower(a.Alert) || !section.Match(handbook) {
			t.Errorf("%s: %s has no section %q", a.Alert, page, anchor)
		}
	}
}
