package bus

import (
	"errors"
	"testing"
)

func TestServerVersionRule(t *testing.T) {
	for version, want := range map[string]error{
		"2.11.9":         ErrOldServer,
		"2.9.25":         ErrOldServer,
		"1.4.1":          ErrOldServer,
		"2.12.0":         nil,
		"2.12.0-RC.1":    nil,
		"2.12":           nil,
		"v2.15.2":        nil,
		"3.0.0":          nil,
		"2.100.0":        nil,
		"2.11.99-beta.2": ErrOldServer,
		"dev":            nil,
		"":               nil,
	} {
		if err := checkServerVersion(version); !errors.Is(err, want) {
			t.Errorf("version %q: %v, want %v", version, err, want)
		}
	}
	for version, old := range map[string]bool{"2.14.3": true, "2.14.4": false, "2.15.0": false, "2.12.9": true} {
		if versionLess(version, serverVersionGood) != old {
			t.Errorf("version %q warns: %v, want %v", version, !old, old)
		}
	}
}

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"nats://host:4222":                 "nats://host:4222",
		"nats://u:p@host:4222,tls://v:q@b": "nats://***@host:4222,tls://***@b",
		"u:p@host":                         "nats://***@host",
		"nats://u:p@ss@host":               "nats://***@host",
	} {
		if got := redact(url); got != want {
			t.Errorf("%q became %q, want %q", url, got, want)
		}
	}
}
