// Ledger keeps double-entry accounts in SQLite. The driver is C: building it takes a C compiler and CGO_ENABLED=1,
// and what comes out needs the C library it was linked with, or must be linked statically.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

var version = "dev"

func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	port := env("PORT", "8082")
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if err := probe("http://127.0.0.1:" + port + "/health"); err != nil {
			log.Error("unhealthy", "error", err)
			os.Exit(1)
		}
		return
	}
	if err := run(port, env("LEDGER_DB", filepath.Join(os.TempDir(), "ledger.db")), log); err != nil {
		log.Error("cannot run", "error", err)
		os.Exit(1)
	}
}

func run(port, database string, log *slog.Logger) (err error) {
	store, err := openStore(database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.db.Close()) }()
	engine, err := store.engine(context.Background())
	if err != nil {
		return err
	}
	server := &http.Server{Addr: ":" + port, Handler: routes(store, log), ReadHeaderTimeout: 5 * time.Second}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Info("listening", "port", port, "database", database, "sqlite", engine, "version", version)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(ending)
}

func routes(store *store, log *slog.Logger) http.Handler {
	answer := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			log.Warn("cannot write the answer", "error", err)
		}
	}
	refuse := func(w http.ResponseWriter, status int, err error) {
		answer(w, status, map[string]string{"error": err.Error()})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /transfers", func(w http.ResponseWriter, r *http.Request) {
		var t transfer
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&t); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		id, err := store.post(r.Context(), t)
		switch {
		case errors.Is(err, errSameAccount), errors.Is(err, errAmount):
			refuse(w, http.StatusUnprocessableEntity, err)
		case err != nil:
			log.Error("cannot post", "error", err)
			refuse(w, http.StatusInternalServerError, errors.New("the ledger could not be written"))
		default:
			log.Info("posted", "transfer", id, "cents", t.Cents)
			answer(w, http.StatusCreated, map[string]int64{"id": id})
		}
	})
	mux.HandleFunc("GET /balances", func(w http.ResponseWriter, r *http.Request) {
		balances, err := store.balances(r.Context())
		if err != nil {
			refuse(w, http.StatusInternalServerError, err)
			return
		}
		answer(w, http.StatusOK, balances)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "healthy", "version": version})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		if err := store.db.PingContext(r.Context()); err != nil {
			refuse(w, http.StatusServiceUnavailable, err)
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	return mux
}

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
