package cli

import "runtime/debug"

// Version is this build's version: set by the linker (-X autoresearch/internal/cli.version=...), else what the Go
// toolchain recorded, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return "dev-" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "dev"
}

var version string
