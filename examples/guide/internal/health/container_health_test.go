package health

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHealthTellsStatusAndVersion(t *testing.T) {
	answer := httptest.NewRecorder()
	NewHealthChecker("1.2").HealthHandler(answer, httptest.NewRequest(http.MethodGet, "/health", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("the code is %d", answer.Code)
	}
	var health ContainerHealth
	if err := json.Unmarshal(answer.Body.Bytes(), &health); err != nil {
		t.Fatal(err)
	}
	if health.Status != "healthy" || health.Version != "1.2" || health.Goroutines < 1 {
		t.Fatalf("the answer is %+v", health)
	}
}

func TestReadinessAnswersReady(t *testing.T) {
	answer := httptest.NewRecorder()
	NewHealthChecker("1.2").ReadinessHandler(answer, httptest.NewRequest(http.MethodGet, "/ready", nil))
	if answer.Code != http.StatusOK || answer.Body.String() != "ready" {
		t.Fatalf("%d %q", answer.Code, answer.Body.String())
	}
}
