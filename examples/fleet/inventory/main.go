// Inventory counts what is left of each article, over gRPC.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"example.com/fleet/shared/inventorypb"
	"example.com/fleet/shared/service"
)

func main() {
	log := service.Logger("inventory")
	port := service.Env("PORT", "9090")
	if len(os.Args) > 1 && os.Args[1] == "health" {
		if err := probe("127.0.0.1:" + port); err != nil {
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
	log.Info("listening", "address", listener.Addr().String())
	if err := serve(ctx, listener, newStock(map[string]uint32{"tea": 100, "cup": 20, "kettle": 3})); err != nil {
		log.Error("cannot serve", "error", err)
		os.Exit(1)
	}
	log.Info("stopped")
}

// serve answers until the context ends, then lets open calls finish.
func serve(ctx context.Context, listener net.Listener, stock *stock) error {
	server := grpc.NewServer()
	inventorypb.RegisterInventoryServer(server, stock)
	health := grpchealth.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health)
	go func() {
		<-ctx.Done()
		health.Shutdown()
		server.GracefulStop()
	}()
	return server.Serve(listener)
}

// probe asks with the standard gRPC health protocol, as Kubernetes' grpc probes do.
func probe(address string) error {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	reply, err := grpc_health_v1.NewHealthClient(connection).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if reply.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("inventory is %s", reply.Status)
	}
	return nil
}
