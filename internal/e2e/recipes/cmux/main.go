// Command cmux is a recipe: two protocols on one port.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net/http"

	"github.com/soheilhy/cmux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("both")
	if err != nil {
		log.Fatal(err)
	}
	m := cmux.New(ln)
	web, lines := m.Match(cmux.HTTP1Fast()), m.Match(cmux.Any())
	go httpx.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "generation %d\n", gozd.Generation())
	}))
	go tcpx.Serve(lines, func(conn gozd.Conn) {
		for text := bufio.NewScanner(conn); text.Scan(); {
			fmt.Fprintf(conn, "generation %d: %s\n", gozd.Generation(), text.Text())
		}
	})
	go func() { log.Print(m.Serve()) }()
	<-exit
}
