package runs

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// readiness is the answer of /readyz. A run that is not well does not make the process unready: it could not lead any
// better elsewhere.
type readiness struct {
	Ready  bool       `json:"ready"`
	Reason string     `json:"reason,omitempty"`
	Runs   []runState `json:"runs"`
}

type runState struct {
	Run    spec.RunName     `json:"run"`
	Role   coordinator.Role `json:"role"`
	Reason string           `json:"reason,omitempty"`
}

// Handler serves /healthz (the process lives; it never depends on NATS), /readyz (503 with a reason while NATS or the
// registry of runs cannot be read) and /metrics, where what a run says of itself carries its name as a label.
func (s *Server) Handler(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		code, r := http.StatusOK, s.readiness()
		if !r.Ready {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, r)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	return mux
}

func (s *Server) readiness() readiness {
	r := readiness{Runs: []runState{}}
	s.mu.Lock()
	r.Reason = s.down
	s.mu.Unlock()
	if !s.o.Conn.Connected() {
		r.Reason = "it is not connected to NATS"
	}
	r.Ready = r.Reason == ""
	for _, run := range s.all() {
		role, trouble := run.state()
		r.Runs = append(r.Runs, runState{Run: run.entry.Name, Role: role, Reason: trouble})
	}
	return r
}

// runMetrics registers what one run says of itself, and takes it back when the run is let go.
type runMetrics struct {
	prometheus.Registerer
	registered []prometheus.Collector
}

func newRunMetrics(to prometheus.Registerer, run spec.RunName) *runMetrics {
	return &runMetrics{Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"run": string(run)}, to)}
}

// Register implements prometheus.Registerer.
func (m *runMetrics) Register(c prometheus.Collector) error {
	err := m.Registerer.Register(c)
	if err == nil {
		m.registered = append(m.registered, c)
	}
	return err
}

func (m *runMetrics) end() {
	for _, c := range m.registered {
		m.Unregister(c)
	}
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
