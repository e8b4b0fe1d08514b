// Command unencrypted is a daemon whose group web serves HTTP/2 without TLS, and HTTP/1.1.
package main

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"strings"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(echo), Protocols: p}}
	go func() { log.Print(srv.Serve(ln)) }()
	<-exit
}

// echo answers with the generation and the body, and with a header that fills the client's table.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set(fmt.Sprintf("X-Answer-%d", rand.IntN(1000)), strings.Repeat("a", rand.IntN(200)))
	_, _ = fmt.Fprintf(w, "%d: %s", gozd.Generation(), body)
}
