// Command acme serves HTTPS by certificates that it gets by itself from Let's Encrypt, by golang.org/x/crypto/acme/autocert. The names stand in
// the variable ACME_NAMES, with commas; certificates are kept in the directory ACME_CACHE, which all generations share. It is a module of
// its own, so that gozd does not require that package.
//
//	cd examples/acme && go build -o /usr/local/bin/acme .
//	ACME_NAMES=www.example.com ACME_CACHE=/var/lib/acme acme -c /etc/acme.conf
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"golang.org/x/crypto/acme/autocert"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	certs := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		HostPolicy: autocert.HostWhitelist(strings.Split(os.Getenv("ACME_NAMES"), ",")...),
		Cache:      autocert.DirCache(os.Getenv("ACME_CACHE")),
	}
	gozd.Defaults.TLS = func(string, *tls.Config) *tls.Config { return certs.TLSConfig() }
	exit := gozd.Daemonize()

	ln, err := gozd.Listen("secure")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "generation %d %s\n", gozd.Generation(), r.Proto)
	}))
	<-exit
}
