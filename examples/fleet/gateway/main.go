// Gateway is the fleet's door: it asks inventory over gRPC and pricing over HTTP, and answers with both.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/fleet/shared/inventorypb"
	"example.com/fleet/shared/service"
)

func main() {
	log := service.Logger("gateway")
	port := service.Env("PORT", "8083")
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if err := service.Probe(port); err != nil {
			log.Error("unhealthy", "error", err)
			os.Exit(1)
		}
		return
	}
	inventory, err := grpc.NewClient(service.Env("INVENTORY", "localhost:9090"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Error("cannot use INVENTORY", "error", err)
		os.Exit(2)
	}
	defer inventory.Close()
	g := &gateway{
		inventory: inventorypb.NewInventoryClient(inventory),
		pricing:   service.Env("PRICING", "http://localhost:8084"),
		http:      &http.Client{Timeout: 5 * time.Second},
	}
	ctx, stop := service.UntilSignal()
	defer stop()
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		log.Error("cannot listen", "error", err)
		os.Exit(1)
	}
	if err := service.Serve(ctx, listener, g.routes(), g.ready, log); err != nil {
		log.Error("cannot serve", "error", err)
		os.Exit(1)
	}
}

type gateway struct {
	inventory inventorypb.InventoryClient
	pricing   string
	http      *http.Client
}

func (g *gateway) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /articles/{article}", g.article)
	return mux
}

// ready needs an inventory that answers; that it does not know the article is an answer, too.
func (g *gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := g.inventory.Stock(ctx, &inventorypb.StockRequest{})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}

func (g *gateway) article(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("article")
	stock, err := g.inventory.Stock(r.Context(), &inventorypb.StockRequest{Article: name})
	if status.Code(err) == codes.NotFound {
		service.Answer(w, http.StatusNotFound, map[string]string{"error": status.Convert(err).Message()})
		return
	}
	if err != nil {
		service.Answer(w, http.StatusBadGateway, map[string]string{"error": "inventory does not answer"})
		return
	}
	cents, err := g.price(r.Context(), name)
	if err != nil {
		service.Answer(w, http.StatusBadGateway, map[string]string{"error": "pricing does not answer"})
		return
	}
	service.Answer(w, http.StatusOK, map[string]any{"article": name, "cents": cents, "left": stock.Left})
}

func (g *gateway) price(ctx context.Context, article string) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.pricing+"/prices/"+article, nil)
	if err != nil {
		return 0, err
	}
	response, err := g.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("pricing answered %s", response.Status)
	}
	var body struct {
		Cents int64 `json:"cents"`
	}
	err = json.NewDecoder(response.Body).Decode(&body)
	return body.Cents, err
}
