package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	const (
		unified = "25 1 0:22 / /proc rw - proc proc rw\n30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		hybrid  = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		part    = "30 23 0:26 /box/7 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	)
	for name, row := range map[string]struct{ mounts, groups, want string }{
		"service":          {unified, "0::/system.slice/worker.service\n", "/sys/fs/cgroup/system.slice/worker.service"},
		"container":        {unified, "0::/\n", "/sys/fs/cgroup"},
		"both versions":    {hybrid, "9:name=systemd:/x\n4:memory:/y\n0::/z\n", "/sys/fs/cgroup/unified/z"},
		"a part":           {part, "0::/box/7/in\n", "/sys/fs/cgroup/in"},
		"the part itself":  {part, "0::/box/7\n", "/sys/fs/cgroup"},
		"another part":     {part, "0::/box/77\n", ""},
		"out of sight":     {unified, "0::/../other\n", ""},
		"version 1 alone":  {"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/y\n", ""},
		"not mounted":      {"", "0::/\n", ""},
		"a name with room": {"30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n", "0::/\n", ""},
	} {
		if got := locate(row.mounts, row.groups); got != row.want {
			t.Errorf("%s: %q, not %q", name, got, row.want)
		}
	}
}

// TestEndTouchesNoOther: a path that is no tree of groups is refused, and one that is gone is fine.
func TestEndTouchesNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, namePrefix+"x", "file")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(file), file, dir} {
		if _, err := End(path); err == nil {
			t.Errorf("%s was taken for a tree", path)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	if found, err := End(filepath.Join(dir, namePrefix+"gone")); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}
