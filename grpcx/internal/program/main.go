// Command program is a daemon that serves gRPC's health service, and says in a header which generation answers.
package main

import (
	"context"
	"log"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/grpcx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("rpc")
	if err != nil {
		log.Fatal(err)
	}
	states := health.NewServer()
	srv := &grpcx.Server{New: func() *grpc.Server {
		s := grpc.NewServer(grpc.UnaryInterceptor(sign))
		grpc_health_v1.RegisterHealthServer(s, states)
		return s
	}}
	go func() { log.Print(srv.Serve(ln)) }()
	<-exit
}

// sign says who answers.
func sign(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := grpc.SetHeader(ctx, metadata.Pairs("generation", strconv.Itoa(gozd.Generation()))); err != nil {
		return nil, err
	}
	return next(ctx, req)
}
