package main

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/fleet/shared/inventorypb"
)

type stock struct {
	inventorypb.UnimplementedInventoryServer

	mutex sync.Mutex
	left  map[string]uint32
}

func newStock(left map[string]uint32) *stock { return &stock{left: left} }

func (s *stock) Stock(_ context.Context, request *inventorypb.StockRequest) (*inventorypb.StockReply, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left, known := s.left[request.Article]
	if !known {
		return nil, status.Errorf(codes.NotFound, "unknown article %q", request.Article)
	}
	return &inventorypb.StockReply{Article: request.Article, Left: left}, nil
}

func (s *stock) Reserve(_ context.Context, request *inventorypb.ReserveRequest) (*inventorypb.StockReply, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left, known := s.left[request.Article]
	switch {
	case !known:
		return nil, status.Errorf(codes.NotFound, "unknown article %q", request.Article)
	case request.Count > left:
		return nil, status.Errorf(codes.FailedPrecondition, "only %d of %q are left", left, request.Article)
	}
	s.left[request.Article] = left - request.Count
	return &inventorypb.StockReply{Article: request.Article, Left: left - request.Count}, nil
}
