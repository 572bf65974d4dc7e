// Hello greets whoever asks. It is a service of the standard library alone: what a container needs of a
// service (a port from the environment, structured logs, health and readiness, an orderly end) and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is stamped by the linker: -ldflags "-X main.version=1.2.3".
var version = "dev"

// drain is how long requests that have begun may take after the first signal to stop.
const drain = 10 * time.Second

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))

	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "health":
			if err := probe("http://127.0.0.1:" + port + "/health"); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		case "version":
			fmt.Println(version)
			return
		default:
			fmt.Fprintf(os.Stderr, "hello: unknown command %q; there are health and version\n", os.Args[1])
			os.Exit(2)
		}
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Error("cannot listen", "port", port, "error", err)
		os.Exit(1)
	}
	if err := serve(ctx, listener, log); err != nil {
		log.Error("cannot serve", "error", err)
		os.Exit(1)
	}
}

// serve answers on the listener until the context ends, then lets open requests finish.
func serve(ctx context.Context, listener net.Listener, log *slog.Logger) error {
	app := newService(log)
	server := &http.Server{Handler: app.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String(), "version", version)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping", "drain", drain.String())
	app.ready.Store(false)
	ending, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return fmt.Errorf("requests were still open after %s: %w", drain, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	log.Info("stopped")
	return nil
}

// probe asks a running instance for its health: an image without a shell has no curl for its HEALTHCHECK.
func probe(url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}
