// Command sse sends numbered events to browsers. Over upgrades, and restarts, none of them misses one or gets one twice.
//
//	go run ./examples/sse -f -v -c examples/sse/app.conf
//	curl -N http://127.0.0.1:8087/events # it ends at an upgrade; a browser reconnects, and says which event was the last
package main

import (
	"flag"
	"io"
	"log"
	"net/http"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	path := flag.String("feed", "feed.log", "`file` of all events")
	every := flag.Duration("every", 100*time.Millisecond, "time between two events")
	exit := gozd.Daemonize()

	f := feed{*path}
	if err := gozd.Only("feed", f.produce(*every)); err != nil { // two would give one number to two events
		log.Fatal(err)
	}
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /events", f)
	http.HandleFunc("GET /", page)
	go func() { log.Print(httpx.Serve(ln, nil)) }()
	<-exit
}

func page(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `<!DOCTYPE html><title>sse</title><pre></pre><script>
new EventSource("/events").onmessage = e => { document.querySelector("pre").textContent += e.data + "\n" }
</script>`)
}
