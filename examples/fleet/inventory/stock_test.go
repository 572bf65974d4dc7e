package main

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/fleet/shared/inventorypb"
)

func TestReserveOverTheWire(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, newStock(map[string]uint32{"tea": 5})) }()
	if err := probe(listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	connection, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	client := inventorypb.NewInventoryClient(connection)
	for _, c := range []struct {
		article string
		count   uint32
		code    codes.Code
		left    uint32
	}{
		{"tea", 3, codes.OK, 2},
		{"tea", 3, codes.FailedPrecondition, 0},
		{"tea", 2, codes.OK, 0},
		{"air", 1, codes.NotFound, 0},
	} {
		reply, err := client.Reserve(ctx, &inventorypb.ReserveRequest{Article: c.article, Count: c.count})
		if status.Code(err) != c.code || reply.GetLeft() != c.left {
			t.Errorf("%d of %s: got %v, %v", c.count, c.article, reply, err)
		}
	}
	if reply, err := client.Stock(ctx, &inventorypb.StockRequest{Article: "tea"}); err != nil || reply.Left != 0 {
		t.Errorf("got %v, %v", reply, err)
	}
	connection.Close()
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
