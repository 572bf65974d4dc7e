// Pricing says what an article costs.
package main

import (
	"net"
	"net/http"
	"os"

	"example.com/fleet/shared/service"
)

// cents holds the price of one piece of each article.
var cents = map[string]int64{"tea": 250, "cup": 900, "kettle": 4500}

func main() {
	log := service.Logger("pricing")
	port := service.Env("PORT", "8084")
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if err := service.Probe(port); err != nil {
			log.Error("unhealthy", "error", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := service.UntilSignal()
	defer stop()
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Error("cannot listen", "error", err)
		os.Exit(1)
	}
	if err := service.Serve(ctx, listener, routes(), nil, log); err != nil {
		log.Error("cannot serve", "error", err)
		os.Exit(1)
	}
}

func routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices/{article}", func(w http.ResponseWriter, r *http.Request) {
		price, known := cents[r.PathValue("article")]
		if !known {
			service.Answer(w, http.StatusNotFound, map[string]string{"error": "unknown article"})
			return
		}
		service.Answer(w, http.StatusOK, map[string]any{"article": r.PathValue("article"), "cents": price})
	})
	return mux
}
