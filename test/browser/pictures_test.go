package browser

import (
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var (
	pictures = flag.String("pictures", "", "write pictures of the dashboard into this folder")
	shown    = flag.Int("pictured", 36, "take the pictures after so many experiments of the demo")
)

// TestPictures runs the demo for a while and takes the pictures of the documentation.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("pictures are taken when -pictures names a folder")
	}
	experiment := exec.Command("go", "build", "-o", "examples/charlm/charlm", "./examples/charlm")
	experiment.Dir = "../.."
	if out, err := experiment.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e := startEngine(t, "../../examples/charlm/workflow.yaml", "--", "stop.max_experiments=1000")
	e.call(http.MethodPost, "/runs/charlm/tasks", map[string]any{"tasks": []any{map[string]any{
		"id": "no-such-optimizer", "kind": "experiment", "parent": "baseline", "payload": map[string]any{"optimizer": "sgdd"},
	}}}, nil)
	within(t, 9*time.Minute, "enough experiments ended", func() bool {
		return len(e.tasks("charlm", "status=completed&limit=1000")) >= *shown && len(e.tasks("charlm", "status=running")) > 0
	})
	for _, look := range []struct {
		name          string
		width, height int64
		scheme, hash  string
	}{
		{"dashboard.png", 1400, 900, "light", ""},
		{"dashboard_dark.png", 1400, 900, "dark", "task"},
		{"dashboard_phone.png", 390, 844, "light", ""},
		{"dashboard_phone_dark.png", 390, 844, "dark", "task"},
	} {
		url := e.url()
		if look.hash != "" {
			best := e.tasks("charlm", "sort=best&limit=1")[0]
			url += "#run=charlm&task=" + best.ID
		}
		p := openPage(t, url, look.width, look.height, look.scheme)
		p.sees(`document.querySelector('.link.live') && document.querySelector('.rows li, .details .lead, .tree')`)
		eventually(t, "the tree is there", func() bool { return p.nodes() > *shown })
		p.settle()
		image, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*pictures, look.name), image, 0o644); err != nil {
			t.Fatal(err)
		}
		p.quiet()
	}
}
