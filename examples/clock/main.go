// Clock shows the time in several cities. Its page, style and icon are embedded in the binary; the time zones
// are not: they come from /usr/share/zoneinfo, so an image without it answers with errors and not with times.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

//go:embed templates/*.tmpl
var templates embed.FS

//go:embed static
var static embed.FS

var version = "dev"

const defaultZones = "UTC,Europe/Berlin,America/New_York,Asia/Kolkata,Asia/Tokyo"

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	address := os.Getenv("CLOCK_ADDRESS")
	if address == "" {
		address = ":8081"
	}
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if err := probe(address); err != nil {
			log.Error("unhealthy", "error", err)
			os.Exit(1)
		}
		return
	}
	names := os.Getenv("CLOCK_ZONES")
	if names == "" {
		names = defaultZones
	}
	if err := run(address, strings.Split(names, ","), log); err != nil {
		log.Error("cannot run", "error", err)
		os.Exit(1)
	}
}

func run(address string, names []string, log *slog.Logger) error {
	zones, err := loadZones(names)
	if err != nil {
		return err
	}
	handler, err := routes(zones, time.Now)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ending)
	}()
	log.Info("listening", "address", address, "zones", len(zones), "version", version)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func routes(zones []*time.Location, now func() time.Time) (http.Handler, error) {
	page, err := template.ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("cannot parse the embedded page: %w", err)
	}
	assets, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(assets)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := page.ExecuteTemplate(w, "page.html.tmpl", face(zones, now())); err != nil {
			slog.Warn("cannot render the page", "error", err)
		}
	})
	mux.HandleFunc("GET /time/{zone...}", func(w http.ResponseWriter, r *http.Request) {
		zone, err := time.LoadLocation(r.PathValue("zone"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		fmt.Fprintln(w, now().In(zone).Format(time.RFC3339))
	})
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
	mux.HandleFunc("GET /health", ok)
	mux.HandleFunc("GET /ready", ok)
	return mux, nil
}

func probe(address string) error {
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	client := &http.Client{Timeout: 2 * time.Second}
	response, err := client.Get("http://" + address + "/health")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("health answered %s", response.Status)
	}
	return nil
}
