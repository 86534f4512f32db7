package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Serve serves handler on address until stop is called; stop waits. An address in use is an error that says so.
func Serve(ctx context.Context, address string, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP: %w; choose another address with --http", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serve HTTP", "address", address, "err", err)
		}
	}()
	log.Info("serving HTTP", "address", listener.Addr().String())
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			log.Debug("stop serving HTTP", "err", err)
		}
		<-ended
	}, nil
}
