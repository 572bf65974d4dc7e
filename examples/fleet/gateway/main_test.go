package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/fleet/shared/inventorypb"
)

// fakeInventory answers without a server behind it: what the gateway makes of answers is under test here.
type fakeInventory struct{ inventorypb.InventoryClient }

func (fakeInventory) Stock(_ context.Context, request *inventorypb.StockRequest, _ ...grpc.CallOption) (*inventorypb.StockReply, error) {
	switch request.Article {
	case "tea", "unpriced":
		return &inventorypb.StockReply{Article: request.Article, Left: 7}, nil
	case "broken":
		return nil, status.Error(codes.Unavailable, "no connection")
	}
	return nil, status.Errorf(codes.NotFound, "unknown article %q", request.Article)
}

func TestArticle(t *testing.T) {
	pricing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/prices/tea" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `{"article":"tea","cents":250}`)
	}))
	defer pricing.Close()
	g := &gateway{inventory: fakeInventory{}, pricing: pricing.URL, http: pricing.Client()}
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/articles/tea", 200, `{"article":"tea","cents":250,"left":7}`},
		{"/articles/air", 404, `{"error":"unknown article \"air\""}`},
		{"/articles/broken", 502, `{"error":"inventory does not answer"}`},
		{"/articles/unpriced", 502, `{"error":"pricing does not answer"}`},
	} {
		recorder := httptest.NewRecorder()
		g.routes().ServeHTTP(recorder, httptest.NewRequest("GET", c.path, nil))
		if got := strings.TrimSpace(recorder.Body.String()); recorder.Code != c.status || got != c.body {
			t.Errorf("%s answered %d %s, want %d %s", c.path, recorder.Code, got, c.status, c.body)
		}
	}
	if err := g.ready(context.Background()); err != nil {
		t.Error(err)
	}
}
