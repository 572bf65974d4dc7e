package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPrices(t *testing.T) {
	for path, want := range map[string]string{
		"/prices/tea": `{"article":"tea","cents":250}`,
		"/prices/air": `{"error":"unknown article"}`,
	} {
		recorder := httptest.NewRecorder()
		routes().ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
		if got := strings.TrimSpace(recorder.Body.String()); got != want {
			t.Errorf("%s answered %s, want %s", path, got, want)
		}
	}
}
