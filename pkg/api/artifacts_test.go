package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

// TestArtifacts: the files that an experiment left are listed and fetched, and what is not there says why.
func TestArtifacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("a/b"))
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	if got := must(c.Artifacts(ctx, "test", "a/b"))(t); len(got.Artifacts) != 0 {
		t.Errorf("before it ran: %+v", got)
	}
	w.work(map[string]int{"cpu": 1}, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		_, err := worker.PrepareDir(ctx)
		dir := filepath.Join(a.Dir, "artifacts")
		return spec.TaskResult{}, errors.Join(err, os.WriteFile(filepath.Join(dir, "page.html"), []byte("<script>"), 0o600),
			os.Symlink("/etc/passwd", filepath.Join(dir, "link")))
	})
	eventually(t, "it has run", func() bool { return must(c.Task(ctx, "test", "a/b"))(t).State == "completed" })
	list := must(c.Artifacts(ctx, "test", "a/b"))(t)
	if len(list.Artifacts) != 2 || list.Artifacts[0].Omitted == "" || list.Artifacts[1].Path != "page.html" ||
		list.Artifacts[1].SHA256 != spec.BlobOf([]byte("<script>")).Digest.String() {
		t.Fatalf("%+v", list)
	}
	body := must(c.Artifact(ctx, "test", "a/b", "page.html"))(t)
	text, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || string(text) != "<script>" {
		t.Errorf("%q, %v", text, err)
	}
	answer := must(http.Get(n.http.URL + Prefix + taskPath("test", "a/b", "artifact") + "?path=page.html"))(t) //nolint:bodyclose // closed below
	_ = answer.Body.Close()
	if h := answer.Header; h.Get("Content-Disposition") != "attachment" || h.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%v", h)
	}
	for path, code := range map[string]Code{"link": CodeNotKept, "../page.html": CodeNotFound, "": CodeNotFound} {
		_, err := c.Artifact(ctx, "test", "a/b", path)
		wantCode(t, err, code)
	}
	js := must(jetstream.New(w.conns[0].NATS()))(t)
	if err := js.DeleteStream(ctx, bus.ObjectStream(bus.OutputBucket("test"))); err != nil {
		t.Fatal(err)
	}
	_, err = c.Artifact(ctx, "test", "a/b", "page.html")
	wantCode(t, err, CodeNotKept)
}
