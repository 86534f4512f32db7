package api

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// forwarder hands requests to the coordinator that leads a run. It forwards rather than redirects, because whoever asks may
// come through a tunnel that ends here.
type forwarder struct {
	transport http.RoundTripper
	hostname  string
	patience  time.Duration // how long a request waits for a leader
	log       *slog.Logger
}

// leaderPatience is how long a request waits for a leader: longer than another takes to lead when one has died.
const leaderPatience = 3 * time.Second

// leaderPoll is how often it looks.
const leaderPoll = 20 * time.Millisecond

// forwardedHeader marks a request that was handed on once: two coordinators that each believe in the other must not play
// ball.
const forwardedHeader = "Autoresearch-Forwarded"

func (c *call) forwarded() bool { return c.Header.Get(forwardedHeader) != "" }

func newForwarder(log *slog.Logger) *forwarder {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the leader is near
	transport.DialContext = (&net.Dialer{Timeout: 2 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = time.Minute
	transport.DisableKeepAlives = true // few requests; and nothing is left behind when the server ends
	hostname, _ := os.Hostname()       // without one, no loopback address is believed
	return &forwarder{transport: transport, hostname: hostname, patience: leaderPatience, log: log}
}

// forward hands a request on, or says why it cannot: then nothing of it was sent, and nothing is answered yet.
func (f *forwarder) forward(w http.ResponseWriter, q *http.Request, run spec.RunName, leader coordinator.Leader) error {
	target, err := f.reach(q, run, leader)
	if err != nil {
		return err
	}
	unsent := q.WithContext(q.Context())
	unsent.Body = io.NopCloser(q.Body) // a transport that cannot connect closes it
	f.to(target, run, leader, func(failure error) { err = failure }).ServeHTTP(w, unsent)
	return err
}

// unconnected is a leader that takes no connection: it may have died.
type unconnected struct{ *Problem }

func (u unconnected) Unwrap() error { return u.Problem }

// passes reports whether there may soon be a leader, where there was none to hand a request to.
func passes(err error) bool {
	var p *Problem
	return errors.As(err, new(unconnected)) || errors.As(err, &p) && p.Code == CodeNoLeader
}

// reach returns the address of the leader's API.
func (f *forwarder) reach(q *http.Request, run spec.RunName, leader coordinator.Leader) (*url.URL, error) {
	switch {
	case q.Header.Get(forwardedHeader) != "" || !leader.Known:
		return nil, problem(CodeNoLeader, "run %q has no leader at the moment", run)
	case leader.HTTP == "":
		return nil, problem(CodeUnreachable, "run %q is led on host %s, whose coordinator serves no HTTP", run, leader.Host)
	}
	target, err := url.Parse(leader.HTTP)
	if err != nil || target.Host == "" {
		return nil, problem(CodeUnreachable, "run %q is led on host %s, whose address %q cannot be read", run, leader.Host, leader.HTTP)
	}
	if isLoopbackName(target.Host) && (f.hostname == "" || leader.Host != f.hostname) {
		return nil, problem(CodeUnreachable, "run %q is led on host %s, whose coordinator listens on a loopback address", run, leader.Host)
	}
	return target, nil
}

// to hands requests on to a leader. One whose connection could not be made is given to unsent, and not answered.
func (f *forwarder) to(target *url.URL, run spec.RunName, leader coordinator.Leader, unsent func(error)) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			r.Out.Header.Set(forwardedHeader, "1")
		},
		Transport:     f.transport,
		FlushInterval: -1,                                                  // events at once
		ErrorLog:      slog.NewLogLogger(f.log.Handler(), slog.LevelDebug), // streams that break
		ModifyResponse: func(r *http.Response) error {
			for _, name := range secureHeaders { // ours are set already
				r.Header.Del(name)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, q *http.Request, err error) {
			refused := problem(CodeUnreachable, "run %q is led on host %s, which does not answer: %v", run, leader.Host, err)
			if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
				unsent(unconnected{refused})
				return
			}
			(&call{Request: q, w: w}).fail(refused)
		},
	}
}
