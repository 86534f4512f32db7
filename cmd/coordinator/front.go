package main

import (
	"net/http"
	"sync/atomic"
)

// front is the daemon's HTTP handler: it lives, and is not ready, until there is a coordinator to answer.
type front struct{ coordinator atomic.Pointer[http.Handler] }

// lead lets the coordinator answer from now on.
func (f *front) lead(h http.Handler) { f.coordinator.Store(&h) }

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := f.coordinator.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	code, body := http.StatusServiceUnavailable, `{"ready":false,"reason":"it is not connected to NATS"}`
	if r.URL.Path == "/healthz" {
		code, body = http.StatusOK, `{"status":"ok"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body + "\n")) // the client may have gone
}
