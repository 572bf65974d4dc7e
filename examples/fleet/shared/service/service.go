// Package service is what every HTTP service of the fleet does alike: logs, health, readiness, an orderly end.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Version is stamped by the linker, for all services at once: -X example.com/fleet/shared/service.Version=1.2.3.
var Version = "dev"

const drain = 10 * time.Second

// Logger returns the log of one service: JSON lines on stdout.
func Logger(name string) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("service", name, "version", Version)
}

// Env returns an environment variable, or the fallback when it is unset or empty.
func Env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// UntilSignal returns a context that ends at the first signal to stop.
func UntilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
}

// Serve adds /health and /ready to a mux and answers on the listener until the context ends.
// A service is ready while ready returns nil; a nil ready is always so.
func Serve(ctx context.Context, listener net.Listener, mux *http.ServeMux, ready func(context.Context) error, log *slog.Logger) error {
	var stopping atomic.Bool
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		Answer(w, http.StatusOK, map[string]string{"status": "healthy", "version": Version})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if stopping.Load() {
			Answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
			return
		}
		if ready != nil {
			if err := ready(r.Context()); err != nil {
				Answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
				return
			}
		}
		Answer(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	stopping.Store(true)
	ending, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return err
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Answer writes a JSON body.
func Answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client went away; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}

// Probe asks the service on a port of this machine for its health.
func Probe(port string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	response, err := client.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health answered %s", response.Status)
	}
	return nil
}
