package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestServeAnswersAndStops(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	notReady := func(context.Context) error { return errors.New("no inventory") }
	go func() {
		ended <- Serve(ctx, listener, http.NewServeMux(), notReady, slog.New(slog.NewTextHandler(io.Discard, nil)))
	}()
	if err := Probe(port); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://127.0.0.1:" + port + "/ready")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if want := `{"reason":"no inventory","status":"not ready"}` + "\n"; err != nil || string(body) != want {
		t.Fatalf("got %s, %v", body, err)
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
}
