// Command mixed serves the four modes with connections in one daemon; tests, the demo and
// benchmarks talk to it.
//
//	go run ./examples/mixed -f -v -c examples/mixed/app.conf
//	curl http://127.0.0.1:8080/
//	kill -HUP $(cat /run/mixed.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"errors"
	"log"
	"net"
	"net/http"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// version is set by -ldflags "-X main.version=2".
var version = "1"

func main() {
	gozd.Defaults.HealthCheck = checkHealth
	exit := gozd.Daemonize()
	if err := serveAll(); err != nil {
		log.Fatal(err)
	}
	<-exit
	removeFiles()
}

// serveAll serves those of the groups that the configuration has.
func serveAll() error {
	router := newRouter()
	return errors.Join(
		serve("web", func(ln net.Listener) error {
			s := &httpx.Server{Server: &http.Server{Handler: inGroup("web", router)}, DrainHijacked: sayGoodbye}
			return s.Serve(ln)
		}),
		serve("secure", func(ln net.Listener) error { return httpx.Serve(ln, inGroup("secure", router)) }),
		serve("app", func(ln net.Listener) error { return fcgix.Serve(ln, inGroup("app", router)) }),
		serve("line", func(ln net.Listener) error { return tcpx.Serve(ln, serveLines) }),
		serve("state", func(ln net.Listener) error { return tcpx.Serve(ln, countLines) }),
		serve("plain", func(ln net.Listener) error { return http.Serve(ln, inGroup("plain", router)) }),
	)
}

func serve(group string, with func(net.Listener) error) error {
	ln, err := gozd.Listen(group)
	if errors.Is(err, gozd.ErrUnknownGroup) {
		return nil
	}
	if err != nil {
		return err
	}
	go func() { log.Printf("%s: %v", group, with(ln)) }()
	return nil
}
