// Package health answers the questions that container engines and Kubernetes ask of a service.
package health

import (
	"encoding/json"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"
)

// ContainerHealth is the answer of /health.
type ContainerHealth struct {
	Status        string      `json:"status"`
	Version       string      `json:"version"`
	UptimeSeconds int64       `json:"uptime_seconds"`
	Memory        MemoryStats `json:"memory"`
	Goroutines    int         `json:"goroutines"`
	MaxProcs      int         `json:"max_procs"`
}

// MemoryStats is in bytes, but for NumGC.
type MemoryStats struct {
	Alloc uint64 `json:"alloc"`
	Sys   uint64 `json:"sys"`
	NumGC uint32 `json:"num_gc"`
}

// Checker knows whether the service works (health) and whether it wants requests (readiness).
type Checker struct {
	started  time.Time
	version  string
	stopping atomic.Bool
	checks   []func() error
}

// NewChecker returns a checker that is ready while every check passes.
func NewChecker(version string, checks ...func() error) *Checker {
	return &Checker{started: time.Now(), version: version, checks: checks}
}

// Stop makes readiness fail, so that traffic goes elsewhere while open requests finish.
func (c *Checker) Stop() { c.stopping.Store(true) }

// Health describes the process.
func (c *Checker) Health() ContainerHealth {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return ContainerHealth{
		Status:        "healthy",
		Version:       c.version,
		UptimeSeconds: int64(time.Since(c.started).Seconds()),
		Memory:        MemoryStats{Alloc: m.Alloc, Sys: m.Sys, NumGC: m.NumGC},
		Goroutines:    runtime.NumGoroutine(),
		MaxProcs:      runtime.GOMAXPROCS(0),
	}
}

// HealthHandler answers 200 as long as the process can answer at all.
func (c *Checker) HealthHandler(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, c.Health())
}

// ReadinessHandler answers 503 when stopping or when a check fails, and says which.
func (c *Checker) ReadinessHandler(w http.ResponseWriter, _ *http.Request) {
	if c.stopping.Load() {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
		return
	}
	for _, check := range c.checks {
		if err := check(); err != nil {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
			return
		}
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client went away; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(body)
}
