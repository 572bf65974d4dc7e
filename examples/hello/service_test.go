package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestRoutes(t *testing.T) {
	handler := newService(silent()).handler()
	for _, c := range []struct {
		method, path string
		status       int
		key, value   string
	}{
		{"GET", "/", 200, "greeting", "Hello, world!"},
		{"GET", "/hello/Ada", 200, "greeting", "Hello, Ada!"},
		{"GET", "/health", 200, "status", "healthy"},
		{"GET", "/ready", 200, "status", "ready"},
		{"GET", "/nowhere", 404, "", ""},
		{"POST", "/health", 405, "", ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequest(c.method, c.path, nil))
			if recorder.Code != c.status {
				t.Fatalf("status %d, want %d", recorder.Code, c.status)
			}
			if c.key == "" {
				return
			}
			var body map[string]any
			if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if body[c.key] != c.value {
				t.Fatalf("%s is %v, want %q", c.key, body[c.key], c.value)
			}
		})
	}
}

func TestReadinessEndsBeforeTheServer(t *testing.T) {
	s := newService(silent())
	s.ready.Store(false)
	recorder := httptest.NewRecorder()
	s.handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/ready", nil))
	if recorder.Code != http.StatusServiceUnavailable {
		t.Fatalf("status %d, want 503", recorder.Code)
	}
}

func TestServeStopsWhenTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, silent()) }()

	url := "http://" + listener.Addr().String() + "/health"
	if err := probe(url); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the server did not stop")
	}
	if err := probe(url); err == nil {
		t.Fatal("the server still answers")
	}
}
