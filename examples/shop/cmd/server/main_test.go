package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/shop/internal/config"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func settings(t *testing.T, pairs map[string]string) config.Config {
	t.Helper()
	folder := t.TempDir()
	c, err := config.FromEnvironment(func(name string) string {
		if name == "SHOP_RECEIPTS" {
			return folder
		}
		return pairs[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestRoutes(t *testing.T) {
	c := settings(t, nil)
	handler := newShop(c, silent).routes()
	for _, step := range []struct {
		method, path, body string
		status             int
		holds              string
	}{
		{"GET", "/health", "", 200, `"status":"healthy"`},
		{"GET", "/ready", "", 200, `{"status":"ready"}`},
		{"GET", "/v1/orders", "", 200, `{"orders":[]}`},
		{"POST", "/v1/orders", `{"customer":"ada","lines":[{"article":"tea","count":2,"cents":250}]}`, 201, `"id":1`},
		{"POST", "/v1/orders", `{"customer":"ada","lines":[]}`, 400, "Lines"},
		{"POST", "/v1/orders", `{"customer":"ada","lines":[{"article":"tea","count":0,"cents":250}]}`, 400, "Count"},
		{"GET", "/v1/orders/1", "", 200, `"total":500`},
		{"GET", "/v1/orders/1?currency=USD", "", 422, "no service of exchange rates is configured"},
		{"GET", "/v1/orders/1/receipt", "", 200, "   2 x tea "},
		{"GET", "/v1/orders/2", "", 404, "no such order: 2"},
		{"GET", "/v1/orders/two", "", 400, "whole number"},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(step.method, step.path, strings.NewReader(step.body)))
		if recorder.Code != step.status || !strings.Contains(recorder.Body.String(), step.holds) {
			t.Errorf("%s %s answered %d %s, want %d with %s", step.method, step.path, recorder.Code, recorder.Body, step.status, step.holds)
		}
	}
	if left, err := os.ReadDir(c.ReceiptFolder); err != nil || len(left) != 0 {
		t.Errorf("receipts were left behind: %v, %v", left, err)
	}
}

func TestRequestIDs(t *testing.T) {
	handler := newShop(settings(t, nil), silent).routes()
	for given, length := range map[string]int{"abc-123": 7, "": 16, strings.Repeat("x", 65): 16} {
		request := httptest.NewRequest("GET", "/health", nil)
		request.Header.Set(requestIDHeader, given)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if got := recorder.Header().Get(requestIDHeader); len(got) != length || (length == 7 && got != given) {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestRunStopsWhenTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, settings(t, map[string]string{"SHOP_PORT": strconv.Itoa(port)}), silent) }()

	url := "http://127.0.0.1:" + strconv.Itoa(port) + "/health"
	for attempt := 0; probe(url) != nil; attempt++ {
		if attempt == 100 {
			t.Fatal("the server did not start")
		}
		time.Sleep(20 * time.Millisecond)
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
	if _, err := http.Get(url); err == nil {
		t.Fatal("the server still answers")
	}
}
