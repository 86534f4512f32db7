package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// deafAfter is how long a connected worker may go without a pull or a heartbeat that worked before it is unhealthy.
	deafAfter = time.Minute
	// serveTimeout bounds the reading of one request, and the last answers at the end.
	serveTimeout = 5 * time.Second
)

// health remembers what told last that the worker can speak. Its methods may be called concurrently.
type health struct {
	began time.Time

	mu          sync.Mutex
	isConnected func() bool // nil before the connection
	back        time.Time   // the newest connect or reconnect
	uplink      time.Time   // the newest heartbeat sent
}

func (h *health) connect(isConnected func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isConnected, h.back = isConnected, time.Now()
}

func (h *health) reconnected(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.back = now
}

func (h *health) uplinkSent(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uplink = now
}

// connection reports whether NATS is connected now, since when, and when the last heartbeat was sent.
func (h *health) connection() (connected bool, since, uplink time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isConnected != nil && h.isConnected(), h.back, h.uplink
}

// deafness returns why the worker counts as unhealthy: it is connected and yet has not been able to pull for a class with
// free slots, or to send a heartbeat, for too long. A worker that is cut off from NATS is not: it keeps computing, and a
// restart would not help. Nor would it for a class that uses the slots of another: its credential may not name that class.
func (w *worker) deafness(now time.Time) (reasons []string) {
	connected, since, uplink := w.health.connection()
	if !connected {
		return nil
	}
	if quiet := now.Sub(latest(uplink, since)); quiet > deafAfter {
		reasons = append(reasons, fmt.Sprintf("no heartbeat could be sent for %v", quiet.Round(time.Second)))
	}
	for _, p := range w.ledger.slots() {
		if quiet := now.Sub(latest(p.heard, since)); p.base == nil && p.wanting && quiet > deafAfter {
			reasons = append(reasons, fmt.Sprintf("class %s: no pull worked for %v", p.class, quiet.Round(time.Second)))
		}
	}
	return reasons
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// unreadiness returns why the worker takes no work now.
func (w *worker) unreadiness() (reasons []string) {
	if connected, _, _ := w.health.connection(); !connected {
		reasons = append(reasons, "not connected to NATS")
	}
	if w.leaving.Load() {
		reasons = append(reasons, "leaving")
	}
	if most, reason, _ := w.breaker.state(time.Now()); most >= 0 {
		reasons = append(reasons, reason)
	}
	for _, p := range w.ledger.slots() {
		if p.unserved {
			reasons = append(reasons, fmt.Sprintf("class %s: no coordinator serves it", p.class))
		}
		if p.out > 0 && p.out == p.size {
			reasons = append(reasons, fmt.Sprintf("class %s: none of its GPUs is fit", p.class))
		}
	}
	return reasons
}

// handler serves /healthz, /readyz and /metrics.
func (w *worker) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { w.answer(rw, w.deafness(time.Now())) })
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, _ *http.Request) { w.answer(rw, w.unreadiness()) })
	if gatherer, ok := w.o.Registerer.(prometheus.Gatherer); ok {
		mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	}
	return mux
}

// answer writes the worker's name and the reasons against it: 200 when there are none, else 503.
func (w *worker) answer(rw http.ResponseWriter, reasons []string) {
	status, word := http.StatusOK, "ok"
	if len(reasons) > 0 {
		status, word = http.StatusServiceUnavailable, "failing"
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	err := json.NewEncoder(rw).Encode(map[string]any{
		"status": word, "reasons": append([]string{}, reasons...), "worker": w.who.ID, "boot": w.who.Boot,
	})
	if err != nil {
		w.log.Debug("a health request went away", "error", err)
	}
}

// serve starts the HTTP server if one is wanted.
func (w *worker) serve() (stop func(), err error) {
	if w.o.HTTPAddr == "" {
		return func() {}, nil
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", w.o.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics: %w; choose another address with --http", err)
	}
	server := &http.Server{Handler: w.handler(), ReadHeaderTimeout: serveTimeout, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("the HTTP server ended", "error", err)
		}
	}()
	w.log.Info("serving health and metrics", "address", listener.Addr().String())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), serveTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			w.log.Warn("the HTTP server did not end in time", "error", errors.Join(err, server.Close()))
		}
		<-done
	}, nil
}
