// Command program is a daemon that serves gRPC's health service, by grpcx, or with PROGRAM_BY=httpx by that, and says in a header which
// generation answers.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/grpcx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("rpc")
	if err != nil {
		log.Fatal(err)
	}
	states := health.NewServer()
	newServer := func() *grpc.Server {
		s := grpc.NewServer(grpc.UnaryInterceptor(sign))
		grpc_health_v1.RegisterHealthServer(s, states)
		return s
	}
	serve := (&grpcx.Server{New: newServer}).Serve
	if os.Getenv("PROGRAM_BY") == "httpx" {
		serve = byHTTPX(newServer()).Serve
	}
	go func() { log.Print(serve(ln)) }()
	<-exit
}

func byHTTPX(grpcServer *grpc.Server) *httpx.Server {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &httpx.Server{Server: &http.Server{Handler: grpcServer, Protocols: p, ReadHeaderTimeout: time.Minute}}
}

// sign says who answers.
func sign(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := grpc.SetHeader(ctx, metadata.Pairs("generation", strconv.Itoa(gozd.Generation()))); err != nil {
		return nil, err
	}
	return next(ctx, req)
}
