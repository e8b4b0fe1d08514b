// Command certmagic does what acme does, by github.com/caddyserver/certmagic. ACME_CA may name another authority than Let's Encrypt.
//
//	cd examples/acme && go build -o /usr/local/bin/ ./certmagic
//	ACME_NAMES=www.example.com ACME_CACHE=/var/lib/acme certmagic -c /etc/acme.conf
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/certmagic"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	certmagic.Default.Storage = &certmagic.FileStorage{Path: os.Getenv("ACME_CACHE")} // which keeps generations from asking for one certificate twice
	certmagic.DefaultACME.CA = cmp.Or(os.Getenv("ACME_CA"), certmagic.LetsEncryptProductionCA)
	certmagic.DefaultACME.Agreed = true
	certs := certmagic.NewDefault()
	gozd.Defaults.TLS = func(_ string, base *tls.Config) *tls.Config {
		own := certs.TLSConfig()
		own.NextProtos = append(base.NextProtos, own.NextProtos...) // HTTP/2 first
		return own
	}
	exit := gozd.Daemonize()

	ln, err := gozd.Listen("secure")
	if err != nil {
		log.Fatal(err)
	}
	if err := certs.ManageAsync(context.Background(), strings.Split(os.Getenv("ACME_NAMES"), ",")); err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "generation %d %s\n", gozd.Generation(), r.Proto)
	}))
	<-exit
}
