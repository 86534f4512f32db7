package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script returns an nvidia-smi that does what lines say.
func script(t *testing.T, lines ...string) string {
	t.Helper()
	played, err := filepath.Abs("testdata/nvidia-smi")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), Program)
	if err := os.Symlink(played, path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "script"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoGPUs = `case "$1" in
--query-gpu=*)
  echo 'GPU-b, NVIDIA H100 80GB HBM3, 00000000:5D:00.0, 580.65, 4, 0, Disabled'
  echo 'GPU-a, NVIDIA H100 80GB HBM3, 00000000:3B:00.0, 580.65, 1200, 3, Disabled';;
--query-compute-apps=*) echo '17, GPU-a'; echo '18, GPU-a'; echo '19, GPU-other';;
esac`

func TestLook(t *testing.T) {
	t.Parallel()
	look, err := NewSMI(script(t, twoGPUs), 10*time.Second).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	model := "NVIDIA H100 80GB HBM3"
	want := Look{
		Devices: []Device{
			{UUID: "GPU-a", Parent: "GPU-a", Model: model, Driver: "580.65"},
			{UUID: "GPU-b", Parent: "GPU-b", Model: model, Driver: "580.65"},
		},
		GPUs: map[string]State{
			"GPU-a": {UUID: "GPU-a", Bus: "0000:3b:00", MemoryUsed: 1200, Uncorrected: 3, Processes: []int{17, 18}},
			"GPU-b": {UUID: "GPU-b", Bus: "0000:5d:00", MemoryUsed: 4},
		},
	}
	if !reflect.DeepEqual(look, want) {
		t.Errorf("saw %+v", look)
	}
}

func TestLookAtInstances(t *testing.T) {
	t.Parallel()
	look, err := NewSMI(script(t, `case "$1" in
--query-gpu=*)
  echo 'GPU-a, NVIDIA A100, 00000000:3B:00.0, 580.65, 4, [N/A], Enabled'
  echo 'GPU-b, NVIDIA A100, 00000000:5D:00.0, 580.65, 4, [N/A], Disabled';;
-L)
  echo 'GPU 0: NVIDIA A100 (UUID: GPU-a)'
  echo '  MIG 3g.20gb     Device  0: (UUID: MIG-1)'
  echo '  MIG 3g.20gb     Device  1: (UUID: MIG-2)'
  echo 'GPU 1: NVIDIA A100 (UUID: GPU-b)';;
esac`), 10*time.Second).Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Device{
		{UUID: "GPU-b", Parent: "GPU-b", Model: "NVIDIA A100", Driver: "580.65"},
		{UUID: "MIG-1", Parent: "GPU-a", Model: "NVIDIA A100 MIG 3g.20gb", Driver: "580.65"},
		{UUID: "MIG-2", Parent: "GPU-a", Model: "NVIDIA A100 MIG 3g.20gb", Driver: "580.65"},
	}
	if !reflect.DeepEqual(look.Devices, want) {
		t.Errorf("saw %+v", look.Devices)
	}
	if s := look.GPUs["GPU-a"]; s.Uncorrected != -1 || s.Sick != "" {
		t.Errorf("a GPU without ECC is %+v", s)
	}
}

func TestLookAtOldDriver(t *testing.T) {
	t.Parallel()
	look, err := NewSMI(script(t, `case "$1" in
*ecc*) echo 'Field "mig.mode.current" is not a valid field to query.'; exit 2;;
--query-gpu=*) echo 'GPU-a, Tesla K80, 00000000:3B:00.0, 390.1, 4';;
esac`), 10*time.Second).Look(t.Context())
	if err != nil || len(look.Devices) != 1 || look.GPUs["GPU-a"].Uncorrected != -1 {
		t.Errorf("saw %+v, %v", look, err)
	}
}

func TestLookAtSickGPU(t *testing.T) {
	t.Parallel()
	look, err := NewSMI(script(t, `case "$1" in
--query-gpu=*)
  echo 'GPU-a, NVIDIA H100, 00000000:3B:00.0, 580.65, [GPU requires reset], [Unknown Error], Disabled'
  echo 'Unable to determine the device handle for GPU1: 0000:5D:00.0: GPU is lost.'
  exit 15;;
esac`), 10*time.Second).Look(t.Context())
	if err != nil || len(look.Devices) != 1 || look.GPUs["GPU-a"].Sick == "" {
		t.Errorf("saw %+v, %v", look, err)
	}
}

func TestNoGPU(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]string{
		"no program": "no-such-nvidia-smi",
		"no driver":  script(t, "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9"),
		"no device":  script(t, "echo 'No devices were found'"),
	} {
		if _, err := NewSMI(program, 10*time.Second).Look(t.Context()); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := NewSMI(script(t, "echo oops; exit 255"), 10*time.Second).Look(t.Context())
	if err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "oops") {
		t.Errorf("a broken nvidia-smi is no machine without GPUs: %v", err)
	}
}

// TestLookAtHang: an nvidia-smi that hangs is given up in time, with all it started.
func TestLookAtHang(t *testing.T) {
	t.Parallel()
	smi := NewSMI(script(t, "trap '' TERM", "sleep 600"), 50*time.Millisecond)
	for range 2 {
		if _, err := smi.Look(t.Context()); !errors.Is(err, ErrHangs) {
			t.Errorf("it hangs and the answer is %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewSMI(script(t, "sleep 600"), time.Hour).Look(ctx); !errors.Is(err, ErrHangs) {
		t.Errorf("cancelled, the answer is %v", err)
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	devices := []Device{{UUID: "GPU-aa", Parent: "GPU-aa"}, {UUID: "MIG-1", Parent: "GPU-x"}, {UUID: "GPU-ab", Parent: "GPU-ab"}}
	for list, want := range map[string][]string{
		"1,0": {"GPU-ab", "GPU-aa"}, "GPU-ab": {"GPU-ab"}, "MIG-1, 0": {"MIG-1", "GPU-aa"}, "": nil, "0,-1,1": {"GPU-aa"}, "2": nil,
	} {
		var got []string
		for _, d := range Visible(devices, list) {
			got = append(got, d.UUID)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q makes %v visible, not %v", list, got, want)
		}
	}
}

func TestXIDs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kmsg")
	say := func(line string) {
		t.Helper()
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	say("3,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79, of before\n")
	xids, err := OpenXIDs(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := xids.Close(); err != nil {
			t.Error(err)
		}
	}()
	say("3,2,2,-;NVRM: Xid (PCI:0000:3B:00): 48, pid=7, Ch 1\n3,3,3,-;NVRM: Xid (PCI:0000:5d:00): 31, a program's own\n3,4,4")
	if got := xids.News(); len(got) != 1 || !strings.HasPrefix(got["0000:3b:00"], "Xid 48") {
		t.Errorf("news are %v", got)
	}
	say(",-;NVRM: Xid (PCI:0000:5d:00): 79, gone\n")
	if got := xids.News(); len(got) != 1 || !strings.HasPrefix(got["0000:5d:00"], "Xid 79") {
		t.Errorf("news are %v", got)
	}
}
