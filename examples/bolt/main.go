// Command bolt counts in a file that only one process can have open: each generation
// lets go of it as soon as it is replaced, and no request notices.
//
//	go run ./examples/bolt -f -v -c examples/bolt/app.conf
//	curl -d "" http://127.0.0.1:8085/count/apples
//	kill -HUP $(cat /run/bolt.pid) # root's; another user's is in $XDG_RUNTIME_DIR
package main

import (
	"context"
	"errors"
	"flag"
	"log"

	bolt "go.etcd.io/bbolt"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	path := flag.String("db", "count.db", "bolt `file`")
	exit := gozd.Daemonize()

	counts := newStore()
	err := gozd.Only("db", func(ctx context.Context) {
		db, err := bolt.Open(*path, 0o600, nil)
		if err != nil {
			log.Fatal(err) // the generation before has it again
		}
		counts.take(db)
		<-ctx.Done()
		if errors.Is(context.Cause(ctx), gozd.ErrReplaced) {
			counts.release()
		} // else it is a stop, and requests may still come
	})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(ln, newHandler(counts, ln.Addr()))
	<-exit
	counts.release() // nothing is cut off
}
