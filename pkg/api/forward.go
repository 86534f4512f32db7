package api

import (
	"context"
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

// forward hands a request on to the run's leader, or says why it cannot: then it may be handed on again, and nothing is answered
// yet. One that still stands when somebody else leads is given up: the leader it went to may hang for ever.
func (f *forwarder) forward(w http.ResponseWriter, q *http.Request, run leading) error {
	leader := run.Leader()
	target, err := f.reach(q, run.Name(), leader)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(q.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		awaitFall(ctx, run, leader)
	}()
	defer func() { cancel(); <-watched }()
	handed := q.WithContext(ctx)
	handed.Body = io.NopCloser(q.Body) // a transport that cannot connect closes it
	f.to(target, run.Name(), leader, func(failure error) { err = failure }).ServeHTTP(w, handed)
	return err
}

// leading is a run, and who leads it.
type leading interface {
	Name() spec.RunName
	Leader() coordinator.Leader
}

// awaitFall waits until somebody else leads, or ctx ends.
func awaitFall(ctx context.Context, run leading, leader coordinator.Leader) {
	tick := time.NewTicker(fallPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := run.Leader(); now.Here || now.Known && now != leader {
			return
		}
	}
}

// fallPoll is how often a request under way looks whether its leader still leads.
const fallPoll = 100 * time.Millisecond

// fallen is a leader that takes no connection, or that was followed by another before it answered what only reads.
type fallen struct{ *Problem }

func (f fallen) Unwrap() error { return f.Problem }

// passes reports whether there may soon be a leader, where there was none to hand a request to.
func passes(err error) bool {
	var p *Problem
	return errors.As(err, new(fallen)) || errors.As(err, &p) && p.Code == CodeNoLeader
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

// to hands requests on to a leader. Why one may be handed on again is given to again, and it is not answered.
func (f *forwarder) to(target *url.URL, run spec.RunName, leader coordinator.Leader, again func(error)) http.Handler {
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
			lost := q.Context().Err() != nil
			switch op := (*net.OpError)(nil); {
			case errors.As(err, &op) && op.Op == "dial", lost && q.Method == http.MethodGet:
				again(fallen{refused})
			case lost:
				(&call{Request: q, w: w}).fail(problem(CodeNoLeader, "run %q lost its leader while that was asked, and it may have been done", run))
			default:
				(&call{Request: q, w: w}).fail(refused)
			}
		},
	}
}
