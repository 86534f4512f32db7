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
