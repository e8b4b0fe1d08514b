// Command ticking is a daemon with a ticker that only one generation has. It says in the file "ticks" of its directory, in lines of a time in
// nanoseconds, a generation, and what that does. If there is a file "hold", the ticker goes on when it should end.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func main() {
	exit := gozd.Daemonize()
	ticks, err := os.OpenFile("ticks", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	if err := gozd.Only("tick", ticker{ticks}.run); err != nil {
		log.Fatal(err)
	}
	ln, err := gozd.Listen("line")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(tcpx.Serve(ln, func(gozd.Conn) {})) }()
	<-exit
}

type ticker struct{ file *os.File }

func (t ticker) run(ctx context.Context) {
	t.say("begins")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil || isHeld() {
		select {
		case <-tick.C:
			t.say("ticks")
		case <-untilHeld(ctx):
		}
	}
	t.say(fmt.Sprintf("returns: %v", context.Cause(ctx)))
}

// untilHeld is nil while the end of ctx does not count.
func untilHeld(ctx context.Context) <-chan struct{} {
	if isHeld() {
		return nil
	}
	return ctx.Done()
}

func isHeld() bool {
	_, err := os.Stat("hold")
	return err == nil
}

func (t ticker) say(what string) {
	fmt.Fprintf(t.file, "%d %d %s\n", time.Now().UnixNano(), gozd.Generation(), what)
}
