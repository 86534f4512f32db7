package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ownGroup returns the directory of this process's group of version 2.
func ownGroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	}
	if dir := locate(string(mounts), string(groups)); dir != "" {
		return dir, nil
	}
	return "", fmt.Errorf("%w: this process's own is not mounted", ErrNone)
}

// locate finds a process's group of version 2 among its mounts, "" when it is not there.
func locate(mountinfo, groups string) string {
	own := ""
	for line := range strings.Lines(groups) {
		if path, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "0::"); ok {
			own = path
		}
	}
	if !strings.HasPrefix(own, "/") || strings.HasPrefix(own, "/..") { // none, or outside of what this namespace sees
		return ""
	}
	for line := range strings.Lines(mountinfo) {
		// id parent device root point options ... - type source options
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !strings.HasPrefix(after, "cgroup2 ") || len(fields) < 5 || strings.Contains(fields[4], `\`) {
			continue
		}
		if inside, ok := strings.CutPrefix(own+"/", strings.TrimRight(fields[3], "/")+"/"); ok {
			return filepath.Join(fields[4], inside)
		}
	}
	return ""
}
