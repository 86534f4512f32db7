package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/dashboard"
	"autoresearch/pkg/spec"
)

// Site is a program's presence on HTTP.
type Site struct {
	log     *slog.Logger
	workdir string
	url     string // for other coordinators; "" without TCP
	apis    []*api.Server
	pages   atomic.Pointer[http.Handler] // health, readiness and metrics; nil until there is a coordinator to answer

	end     context.CancelFunc // ends what the servers still answer
	servers []*http.Server
	ended   []chan struct{}
	clean   []func() error
}

// Open begins to serve: at once, although there may not be a run for a while. An address in use is an error that says so; a
// socket that cannot be had is only said.
func Open(ctx context.Context, f Flags, workdir string, log *slog.Logger) (*Site, error) {
	s := &Site{log: log, workdir: workdir}
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	s.end = end
	place := Place{PID: os.Getpid()}
	if err := s.openTCP(ctx, base, &f, &place); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if listener, clean, err := listenSocket(ctx, workdir); err != nil {
		log.Warn("the API has no socket in the workdir", "err", err)
	} else {
		place.Socket = listener.Addr().String()
		s.clean = append(s.clean, clean)
		s.serve(base, listener, api.Options{Version: cli.Version(), Logger: log}) // who may open it is its folder's to say
	}
	s.clean = append(s.clean, func() error { return removePlace(workdir) })
	if err := writePlace(workdir, place); err != nil {
		return nil, errors.Join(fmt.Errorf("workdir: %w", err), s.Close())
	}
	return s, nil
}

func (s *Site) openTCP(ctx, base context.Context, f *Flags, place *Place) (err error) {
	if f.Address == "" {
		return nil
	}
	o := api.Options{Loopback: f.loopback(), Version: cli.Version(), Logger: s.log}
	if f.Tokens != "" {
		if o.Tokens, err = api.LoadTokens(f.Tokens, s.log); err != nil {
			return fmt.Errorf("--http-tokens: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.Address)
	if err != nil {
		return fmt.Errorf("serve HTTP: %w; choose another address with --http", err)
	}
	place.HTTP = "http://" + listener.Addr().String()
	if s.url = f.Advertise; s.url == "" {
		s.url = reachable(listener.Addr())
	}
	s.serve(base, listener, o)
	s.log.Info("serving HTTP", "address", listener.Addr().String(), "url", place.HTTP+api.Prefix)
	return nil
}

// reachable is the URL by which other machines reach an address; one that listens everywhere is named by this machine's
// first address on a network.
func reachable(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = ownHost()
	}
	return "http://" + net.JoinHostPort(host, port)
}

func ownHost() string {
	addresses, _ := net.InterfaceAddrs() // without any, the name has to do
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// serve answers on a listener until Close.
func (s *Site) serve(base context.Context, listener net.Listener, o api.Options) {
	served := api.NewServer(o)
	s.apis = append(s.apis, served)
	mux := http.NewServeMux()
	mux.Handle("/api/", served)
	mux.Handle("GET /{$}", dashboard.Handler())
	mux.Handle("GET "+dashboard.Prefix, dashboard.Handler())
	mux.HandleFunc("/", s.page)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan struct{})
	s.servers, s.ended = append(s.servers, server), append(s.ended, ended)
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serve HTTP", "address", listener.Addr().String(), "err", err)
		}
	}()
}

// URL is where other coordinators reach the API; "" when they cannot.
func (s *Site) URL() string { return s.url }

// Register serves a run, and pages beside the API: health, readiness, metrics.
func (s *Site) Register(run api.Served, pages http.Handler) {
	s.Add(run)
	s.SetPages(pages)
}

// Add serves a run.
func (s *Site) Add(run api.Served) {
	for _, a := range s.apis {
		a.Register(run)
	}
}

// Remove serves a run no more.
func (s *Site) Remove(run spec.RunName) {
	for _, a := range s.apis {
		a.Unregister(run)
	}
}

// SetRegistry answers for the runs that a registry keeps.
func (s *Site) SetRegistry(r api.Registry) {
	for _, a := range s.apis {
		a.SetRegistry(r)
	}
}

// SetPages serves pages beside the API.
func (s *Site) SetPages(pages http.Handler) { s.pages.Store(&pages) }

// page answers beside the API: the process lives, and is not ready, until there is a run to speak of.
func (s *Site) page(w http.ResponseWriter, r *http.Request) {
	if pages := s.pages.Load(); pages != nil {
		(*pages).ServeHTTP(w, r)
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

// closeTimeout bounds how long requests under way may take when the site closes.
const closeTimeout = 2 * time.Second

// Close ends the streams, waits for what is under way, and removes the note and the socket.
func (s *Site) Close() error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for i, server := range s.servers {
		if err := server.Shutdown(ctx); err != nil {
			s.log.Debug("stop serving HTTP", "err", errors.Join(err, server.Close()))
		}
		<-s.ended[i]
	}
	var errs []error
	for _, clean := range s.clean {
		errs = append(errs, clean())
	}
	return errors.Join(errs...)
}
