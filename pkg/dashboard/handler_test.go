package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func ask(t *testing.T, method, target, etag string) *httptest.ResponseRecorder {
	t.Helper()
	q := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	q.Header.Set("If-None-Match", etag)
	answer := httptest.NewRecorder()
	Handler().ServeHTTP(answer, q)
	return answer
}

func TestPageIsServed(t *testing.T) {
	t.Parallel()
	page := ask(t, http.MethodGet, "/", "")
	if page.Code != http.StatusOK || !strings.Contains(page.Body.String(), "main.js") {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache",
		"Content-Security-Policy": policy,
	} {
		if got := page.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if again := ask(t, http.MethodGet, "/", page.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Errorf("the same page again: %d", again.Code)
	}
	for _, nothing := range []string{Prefix, Prefix + "nothing.js", Prefix + "../handler.go", Prefix + "tree"} {
		if answer := ask(t, http.MethodGet, nothing, ""); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d", nothing, answer.Code)
		}
	}
}

// imported finds what modules import and pages load; a path of elsewhere is one with a host.
var imported = regexp.MustCompile(`(?:from |import |src=|href=)['"]([^'"]+)['"]`)

// TestPageNeedsNothingElse: every file has a media type, and every file that another names is there. Nothing is fetched from
// another host.
func TestPageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	for name, text := range files(t) {
		if medias[path.Ext(name)] == "" {
			t.Errorf("%s: no media type", name)
		}
		if strings.HasPrefix(name, "third_party/") {
			continue
		}
		for _, found := range imported.FindAllStringSubmatch(text, -1) {
			target := path.Join(Prefix, path.Dir(name), found[1])
			if strings.HasPrefix(found[1], "/") {
				target = found[1]
			}
			if answer := ask(t, http.MethodGet, target, ""); answer.Code != http.StatusOK {
				t.Errorf("%s names %s: %d", name, found[1], answer.Code)
			}
		}
		if strings.Contains(text, "innerHTML") || strings.Contains(text, "https://") {
			t.Errorf("%s sets markup, or names another host", name)
		}
	}
}

// TestLibrariesAreAsReleased compares what others wrote with the sums that stand in third_party/SHA256SUMS.
func TestLibrariesAreAsReleased(t *testing.T) {
	t.Parallel()
	all := files(t)
	pinned := make(map[string]string)
	for line := range strings.Lines(all["third_party/SHA256SUMS"]) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		pinned["third_party/"+name] = sum
	}
	for name, text := range all {
		if !strings.HasPrefix(name, "third_party/") || path.Dir(name) == "third_party" {
			continue
		}
		sum := sha256.Sum256([]byte(text))
		if got := hex.EncodeToString(sum[:]); got != pinned[name] {
			t.Errorf("%s has the sum %s, pinned is %q", name, got, pinned[name])
		}
		if _, ok := all[path.Join(path.Dir(name), "LICENSE")]; !ok {
			t.Errorf("%s has no licence beside it", name)
		}
	}
}

func files(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := static.ReadFile(name)
		found[strings.TrimPrefix(name, "static/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
