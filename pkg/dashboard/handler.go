package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// Prefix is the path that the page's files lie below; the page itself is at /.
const Prefix = "/dashboard/"

// policy is what the browser lets the page do: its own files and the API of its own server; and nobody may frame it.
const policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

// medias are the types of the page's files. A machine's own table may say otherwise of scripts, and browsers refuse them then.
var medias = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".md": "text/plain; charset=utf-8", "": "text/plain; charset=utf-8",
}

// Handler serves the page at / and its files below Prefix. Browsers keep the files, and ask whether they are still the same.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, q *http.Request) {
	name := strings.TrimPrefix(q.URL.Path, Prefix)
	if q.URL.Path == "/" {
		name = "index.html"
	}
	body, err := static.ReadFile("static/" + name)
	if err != nil {
		http.NotFound(w, q)
		return
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", medias[path.Ext(name)])
	h.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(w, q, name, time.Time{}, bytes.NewReader(body))
}
