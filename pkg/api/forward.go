package api

import (
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
}

// forwardedHeader marks a request that was handed on once: two coordinators that each believe in the other must not play
// ball.
const forwardedHeader = "Autoresearch-Forwarded"

func newForwarder() *forwarder {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the leader is near
	transport.DialContext = (&net.Dialer{Timeout: 2 * time.Second}).DialContext
	transport.ResponseHeaderTimeout = time.Minute
	transport.DisableKeepAlives = true // few requests; and nothing is left behind when the server ends
	hostname, _ := os.Hostname()       // without one, no loopback address is believed
	return &forwarder{transport: transport, hostname: hostname}
}

// forward hands a request on, or says why it cannot.
func (f *forwarder) forward(w http.ResponseWriter, q *http.Request, run spec.RunName, leader coordinator.Leader) error {
	target, err := f.reach(q, run, leader)
	if err != nil {
		return err
	}
	f.to(target, run, leader).ServeHTTP(w, q)
	return nil
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

func (f *forwarder) to(target *url.URL, run spec.RunName, leader coordinator.Leader) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			r.Out.Header.Set(forwardedHeader, "1")
		},
		Transport:     f.transport,
		FlushInterval: -1, // events at once
		ModifyResponse: func(r *http.Response) error {
			for _, name := range secureHeaders { // ours are set already
				r.Header.Del(name)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, q *http.Request, err error) {
			c := &call{Request: q, w: w}
			c.fail(problem(CodeUnreachable, "run %q is led on host %s, which does not answer: %v", run, leader.Host, err))
		},
	}
}
