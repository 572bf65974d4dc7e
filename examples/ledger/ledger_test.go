package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, path string) *store {
	t.Helper()
	s, err := openStore(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	return s
}

func TestBalancesSurviveAReopen(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "a ledger?.db")
	s := open(t, path)
	for _, entry := range []transfer{{"cash", "rent", 70000, "November"}, {"bank", "cash", 90000, "withdrawal"}} {
		if _, err := s.post(ctx, entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, path).balances(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"bank": -90000, "cash": 20000, "rent": 70000}
	if !maps.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestRefusedTransfersLeaveNothing(t *testing.T) {
	ctx := context.Background()
	s := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	for want, entry := range map[error]transfer{
		errSameAccount: {"cash", "cash", 1, ""},
		errAmount:      {"cash", "rent", -5, ""},
	} {
		if _, err := s.post(ctx, entry); !errors.Is(err, want) {
			t.Errorf("%+v: got %v, want %v", entry, err, want)
		}
	}
	if got, err := s.balances(ctx); err != nil || len(got) != 0 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestRoutes(t *testing.T) {
	h := routes(open(t, filepath.Join(t.TempDir(), "ledger.db")), slog.New(slog.NewTextHandler(io.Discard, nil)))
	for _, c := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/transfers", `{"from":"cash","to":"rent","cents":100}`, 201, `{"id":1}`},
		{"POST", "/transfers", `{"from":"cash","to":"rent"}`, 422, `{"error":"cents must be positive"}`},
		{"POST", "/transfers", `{`, 400, `{"error":"unexpected EOF"}`},
		{"GET", "/balances", "", 200, `{"cash":-100,"rent":100}`},
		{"GET", "/health", "", 200, `{"status":"healthy","version":"dev"}`},
		{"GET", "/ready", "", 200, `{"status":"ready"}`},
	} {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if got := strings.TrimSpace(recorder.Body.String()); recorder.Code != c.status || got != c.answer {
			t.Errorf("%s %s answered %d %s, want %d %s", c.method, c.path, recorder.Code, got, c.status, c.answer)
		}
	}
}
