package coordinator

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readiness is the answer of /readyz.
type readiness struct {
	Run    string `json:"run"`
	Role   Role   `json:"role"`
	Epoch  uint64 `json:"epoch"`
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
}

// Handler serves /healthz (the process lives; it never depends on NATS), /readyz (role and epoch; 503 with a reason when
// it can neither lead nor stand by) and /metrics.
func (c *Coordinator) Handler(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		role, epoch, trouble := c.Readiness()
		code := http.StatusOK
		if trouble != "" {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, readiness{
			Run: string(c.o.Run), Role: role, Epoch: epoch, Ready: trouble == "", Reason: trouble,
		})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	return mux
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the client has gone
	}
}
