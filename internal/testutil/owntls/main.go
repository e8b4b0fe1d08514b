// Command owntls is a daemon with a tls.Config of its own for each of its groups, which it needs no key pair for: clients asks for
// certificates, which cert.pem of its directory has to have signed; modern speaks TLS 1.3 only; chosen reads NAME-cert.pem and NAME-key.pem
// for each name that clients ask for.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	gozd.Defaults.TLS = ownTLS
	exit := gozd.Daemonize()
	for _, group := range []string{"clients", "modern", "chosen"} {
		ln, err := gozd.Listen(group)
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Print(httpx.Serve(ln, http.HandlerFunc(answer))) }()
	}
	<-exit
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "generation %d", gozd.Generation())
}

func ownTLS(group string, base *tls.Config) *tls.Config {
	switch group {
	case "clients":
		pem, err := os.ReadFile("cert.pem")
		if err != nil {
			log.Fatal(err)
		}
		base.ClientCAs = x509.NewCertPool()
		base.ClientCAs.AppendCertsFromPEM(pem)
		base.ClientAuth = tls.RequireAndVerifyClientCert
		return base
	case "modern":
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: base.Certificates, NextProtos: base.NextProtos}
	}
	base.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(hello.ServerName+"-cert.pem", hello.ServerName+"-key.pem")
		return &pair, err
	}
	return nil
}
