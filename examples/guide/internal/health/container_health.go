// internal/health/container_health.go
package health

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"time"
)

// ContainerHealth represents container health status
type ContainerHealth struct {
	Status      string            `json:"status"`
	Timestamp   time.Time         `json:"timestamp"`
	Version     string            `json:"version"`
	Uptime      time.Duration     `json:"uptime"`
	Memory      MemoryStats       `json:"memory"`
	Goroutines  int               `json:"goroutines"`
	Environment map[string]string `json:"environment"`
}

// MemoryStats represents memory statistics
type MemoryStats struct {
	Alloc      uint64 `json:"alloc"`
	TotalAlloc uint64 `json:"total_alloc"`
	Sys        uint64 `json:"sys"`
	NumGC      uint32 `json:"num_gc"`
}

// HealthChecker represents a health checker
type HealthChecker struct {
	startTime time.Time
	version   string
}

// NewHealthChecker creates a new health checker
func NewHealthChecker(version string) *HealthChecker {
	return &HealthChecker{
		startTime: time.Now(),
		version:   version,
	}
}

// CheckHealth checks the health of the container
func (hc *HealthChecker) CheckHealth() ContainerHealth {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)

	return ContainerHealth{
		Status:    "healthy",
		Timestamp: time.Now(),
		Version:   hc.version,
		Uptime:    time.Since(hc.startTime),
		Memory: MemoryStats{
			Alloc:      m.Alloc,
			TotalAlloc: m.TotalAlloc,
			Sys:        m.Sys,
			NumGC:      m.NumGC,
		},
		Goroutines: runtime.NumGoroutine(),
		Environment: map[string]string{
			"GOOS":       runtime.GOOS,
			"GOARCH":     runtime.GOARCH,
			"GOMAXPROCS": fmt.Sprintf("%d", runtime.GOMAXPROCS(0)),
		},
	}
}

// HealthHandler handles health check requests
func (hc *HealthChecker) HealthHandler(w http.ResponseWriter, r *http.Request) {
	health := hc.CheckHealth()

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)

	json.NewEncoder(w).Encode(health)
}

// ReadinessHandler handles readiness check requests
func (hc *HealthChecker) ReadinessHandler(w http.ResponseWriter, r *http.Request) {
	// Check if the application is ready to serve traffic
	if hc.isReady() {
		w.WriteHeader(http.StatusOK)
		w.Write([]byte("ready"))
	} else {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("not ready"))
	}
}

// LivenessHandler handles liveness check requests
func (hc *HealthChecker) LivenessHandler(w http.ResponseWriter, r *http.Request) {
	// Check if the application is alive
	if hc.isAlive() {
		w.WriteHeader(http.StatusOK)
		w.Write([]byte("alive"))
	} else {
		w.WriteHeader(http.StatusInternalServerError)
		w.Write([]byte("not alive"))
	}
}

// isReady checks if the application is ready
func (hc *HealthChecker) isReady() bool {
	// Implement readiness checks
	return true
}

// isAlive checks if the application is alive
func (hc *HealthChecker) isAlive() bool {
	// Implement liveness checks
	return true
}
