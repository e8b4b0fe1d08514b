// Command mistaken makes one of the mistakes that docs/troubleshooting.md explains: the one that is named in
// the file "mistake" of its working directory.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	text, err := os.ReadFile("mistake")
	if err != nil {
		log.Fatal(err)
	}
	mistake := string(text)
	if mistake == "flags parsed before" {
		flag.Parse()
	}
	exit := gozd.Daemonize()
	if mistake == "a port of its own" {
		own, err := net.Listen("tcp", os.Getenv("MISTAKEN_ADDRESS")) // at once, or where it fails would be chance
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Fatal(http.Serve(own, nil)) }()
	}
	group := "web"
	if mistake == "a group that is not configured" {
		group = "api"
	}
	ln, err := gozd.Listen(group)
	if err != nil {
		log.Fatal(err)
	}
	go serve(mistake, ln)
	if mistake != "no wait for the exit channel" {
		<-exit
	}
}

func serve(mistake string, ln net.Listener) {
	srv := &httpx.Server{Server: &http.Server{Handler: http.NotFoundHandler()}}
	switch mistake {
	case "a TLS configuration of its own":
		srv.TLSConfig = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}
	case "a wrapper that hides the connection":
		ln = hiding{ln}
	}
	log.Print(srv.Serve(ln))
}

// hiding wraps connections and shows nobody what is below.
type hiding struct{ net.Listener }

func (l hiding) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return hidden{c: c}, nil
}

type hidden struct{ c net.Conn }

func (h hidden) Read(p []byte) (int, error)         { return h.c.Read(p) }
func (h hidden) Write(p []byte) (int, error)        { return h.c.Write(p) }
func (h hidden) Close() error                       { return h.c.Close() }
func (h hidden) LocalAddr() net.Addr                { return h.c.LocalAddr() }
func (h hidden) RemoteAddr() net.Addr               { return h.c.RemoteAddr() }
func (h hidden) SetDeadline(t time.Time) error      { return h.c.SetDeadline(t) }
func (h hidden) SetReadDeadline(t time.Time) error  { return h.c.SetReadDeadline(t) }
func (h hidden) SetWriteDeadline(t time.Time) error { return h.c.SetWriteDeadline(t) }
