package runs

import (
	"strings"
	"testing"

	"autoresearch/pkg/kv"
)

// TestNotifyOfRegisteredRuns holds what registered runs may name on the coordinators' machines.
func TestNotifyOfRegisteredRuns(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]string{
		`webhook: "https://host/x"`:                  "",
		`webhook_env: AUTORESEARCH_NOTIFY_HOOK`:      "",
		`webhook_env: NATS_PASSWORD`:                 "notify.0: environment variable NATS_PASSWORD",
		`{webhook: "https://h", token_file: /etc/x}`: "notify.0: a registered run has no command and reads no file",
		`command: [sh]`:                              "notify.0: a registered run has no command and reads no file",
	} {
		err := check(kv.RunEntry{Workflow: workflowText + "notify:\n  - " + told + "\n"})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v", told, err)
		}
	}
}

// TestCodeOfRegisteredRuns: whoever may register a run has no files of the coordinators' machines sent to workers.
func TestCodeOfRegisteredRuns(t *testing.T) {
	t.Parallel()
	const hash = "0123456789012345678901234567890123456789"
	for code, allowed := range map[string]bool{
		"{git: https://host/x.git, commit: " + hash + "}": true,
		"{git: /srv/x.git, commit: " + hash + "}":         false,
		"{git: file:///srv/x.git, commit: " + hash + "}":  false,
		"{git: host:x.git, commit: " + hash + "}":         false,
		"{dir: /etc}": false,
	} {
		text := "kinds: {train: {command: [./train], code: " + code + "}}\ninitial: [{id: a, kind: train}]\n"
		if err := check(kv.RunEntry{Workflow: text}); (err == nil) != allowed {
			t.Errorf("%s: %v", code, err)
		}
	}
}
