package health

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReadiness(t *testing.T) {
	var broken error
	checker := NewChecker("1.0", func() error { return broken })
	ask := func() (int, string) {
		recorder := httptest.NewRecorder()
		checker.ReadinessHandler(recorder, nil)
		return recorder.Code, strings.TrimSpace(recorder.Body.String())
	}
	steps := []struct {
		change func()
		status int
		body   string
	}{
		{func() {}, 200, `{"status":"ready"}`},
		{func() { broken = errors.New("no room") }, 503, `{"reason":"no room","status":"not ready"}`},
		{func() { broken = nil }, 200, `{"status":"ready"}`},
		{checker.Stop, 503, `{"status":"stopping"}`},
	}
	for index, step := range steps {
		step.change()
		if status, body := ask(); status != step.status || body != step.body {
			t.Errorf("step %d: got %d %s, want %d %s", index, status, body, step.status, step.body)
		}
	}
}

func TestHealthNamesTheVersion(t *testing.T) {
	got := NewChecker("1.2.3").Health()
	if got.Version != "1.2.3" || got.Status != "healthy" || got.Goroutines < 1 {
		t.Fatalf("got %+v", got)
	}
}
