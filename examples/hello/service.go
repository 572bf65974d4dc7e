package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

type service struct {
	log     *slog.Logger
	started time.Time
	ready   atomic.Bool
}

func newService(log *slog.Logger) *service {
	s := &service{log: log, started: time.Now()}
	s.ready.Store(true)
	return s
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.greet)
	mux.HandleFunc("GET /hello/{name}", s.greet)
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /ready", s.readiness)
	return s.logged(mux)
}

func (s *service) greet(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name == "" {
		name = "world"
	}
	s.answer(w, http.StatusOK, map[string]string{"greeting": "Hello, " + name + "!"})
}

// health says that the process works and what it is.
func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	s.answer(w, http.StatusOK, map[string]any{
		"status":         "healthy",
		"version":        version,
		"host":           host,
		"uid":            os.Getuid(),
		"uptime_seconds": int64(time.Since(s.started).Seconds()),
	})
}

// readiness says whether new requests are welcome; it turns to 503 before the server stops.
func (s *service) readiness(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		s.answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
		return
	}
	s.answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *service) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Warn("cannot write the answer", "error", err)
	}
}

// statusRecorder remembers the status that a handler sent, for the log.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (s *service) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		begin := time.Now()
		next.ServeHTTP(recorder, r)
		s.log.Info("request", "method", r.Method, "path", r.URL.Path, "status", recorder.status,
			"duration_us", time.Since(begin).Microseconds())
	})
}
