package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var noon = func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

func handler(t *testing.T) http.Handler {
	t.Helper()
	zones, err := loadZones([]string{"UTC", " Asia/Tokyo", "America/New_York"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := routes(zones, noon)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRoutes(t *testing.T) {
	h := handler(t)
	for _, c := range []struct {
		path   string
		status int
		holds  string
	}{
		{"/", 200, "<th>Asia/Tokyo</th><td>Wed 21:00:00</td><td>&#43;09:00</td>"},
		{"/", 200, "<th>America/New_York</th><td>Wed 08:00:00</td><td>-04:00</td>"},
		{"/time/Europe/Berlin", 200, "2026-07-01T14:00:00+02:00"},
		{"/time/Europe/Atlantis", 404, "unknown time zone"},
		{"/static/style.css", 200, "tabular-nums"},
		{"/static/icon.svg", 200, "<svg"},
		{"/health", 200, "ok"},
		{"/ready", 200, "ok"},
	} {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, httptest.NewRequest("GET", c.path, nil))
		if recorder.Code != c.status || !strings.Contains(recorder.Body.String(), c.holds) {
			t.Errorf("%s answered %d %q, want %d with %q", c.path, recorder.Code, recorder.Body, c.status, c.holds)
		}
	}
}

func TestUnknownZoneFailsAtTheStart(t *testing.T) {
	_, err := loadZones([]string{"UTC", "Europe/Atlantis"})
	if err == nil || !strings.Contains(err.Error(), `"Europe/Atlantis"`) {
		t.Fatalf("got %v", err)
	}
}

func TestNightIsMarked(t *testing.T) {
	zones, err := loadZones([]string{"Asia/Kolkata", "Pacific/Auckland"})
	if err != nil {
		t.Fatal(err)
	}
	rows := face(zones, noon()).Rows
	if rows[0].Night || !rows[1].Night || rows[0].Offset != "+05:30" {
		t.Fatalf("got %+v", rows)
	}
}
