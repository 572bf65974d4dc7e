// Shop takes orders over HTTP: a gin service with what real ones have around their routes, namely settings from
// the environment, request ids, structured logs, calls to another service over HTTPS, time zones and temporary files.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/shop/internal/config"
	"example.com/shop/internal/health"
	"example.com/shop/internal/orders"
	"example.com/shop/internal/rates"
	"example.com/shop/internal/receipts"
)

// version is stamped by the linker: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	settings, err := config.FromEnvironment(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if err := probe("http://127.0.0.1:" + strconv.Itoa(settings.Port) + "/health"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: settings.LogLevel}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, settings, log); err != nil {
		log.Error("cannot run", "error", err)
		os.Exit(1)
	}
}

func newShop(settings config.Config, log *slog.Logger) *shop {
	printer := receipts.NewPrinter(settings.ReceiptFolder, settings.Zone)
	return &shop{
		log:     log,
		checker: health.NewChecker(version, printer.Check),
		book:    orders.NewBook(100_000),
		rates:   rates.NewClient(settings.RatesURL, &http.Client{Timeout: 5 * time.Second}),
		printer: printer,
	}
}

func run(ctx context.Context, settings config.Config, log *slog.Logger) error {
	gin.SetMode(gin.ReleaseMode)
	app := newShop(settings, log)
	server := &http.Server{
		Addr:              ":" + strconv.Itoa(settings.Port),
		Handler:           app.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Info("listening", "port", settings.Port, "zone", settings.Zone.String(), "version", version)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping", "drain", settings.Drain.String())
	app.checker.Stop()
	ending, cancel := context.WithTimeout(context.Background(), settings.Drain)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return err
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// probe asks a running instance for its health: the image has no shell and no curl for its HEALTHCHECK.
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
