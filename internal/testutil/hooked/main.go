// Command hooked is a daemon whose hooks do what the file "hook" in the working
// directory says, and say in other files there that they have been called.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

func main() {
	parent := os.Getppid() // nobody else's, as long as it has not been waited for
	started, _ := process.StartTime(parent)
	gozd.Defaults.OnUpgrade = onUpgrade
	gozd.Defaults.OnReplaced = onReplaced
	if os.Getenv("HOOKED_RESUME") != "" {
		gozd.Defaults.OnResume = onResume
	}
	gozd.Defaults.OnParentExit = func() {
		_, err := process.Open(parent, started)
		note("parent-exits", "%d %t", gozd.Generation(), gozd.Generation() == 1 || errors.Is(err, os.ErrProcessDone))
	}
	gozd.Defaults.OnReopen = onReopen
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("line")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(tcpx.Serve(ln, echo)) }()
	<-exit
	note("ends", "%d", gozd.Generation())
	awaitRemoval("linger")
	note("ended", "%d", gozd.Generation())
}

// note adds a line to a file.
func note(file, format string, args ...any) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	fmt.Fprintf(f, format+"\n", args...)
}

func onUpgrade(ctx context.Context) error {
	data, _ := os.ReadFile("hook")
	if len(data) == 0 { // mostly there is none
		return nil
	}
	what, words, _ := strings.Cut(string(data), " ")
	note("asked", "%s", what)
	switch what {
	case "refuse":
		return errors.New(words)
	case "wait":
		<-ctx.Done()
		note("asked", "%v", context.Cause(ctx))
		return ctx.Err()
	case "hang":
		awaitRemoval("hook")
		note("asked", "returned")
	}
	return nil
}

// onReplaced takes as long as there is a file "hold".
func onReplaced() {
	note("replaced", "%d", gozd.Generation())
	awaitRemoval("hold")
}

// onResume fails if there is a file "refuse-resume", and takes all the time that it has if there is a file "wait-resume".
func onResume(ctx context.Context) error {
	note("resumed", "%d", gozd.Generation())
	if _, err := os.Stat("wait-resume"); err == nil {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if _, err := os.Stat("refuse-resume"); err == nil {
		return errors.New("somebody else has it")
	}
	return nil
}

// onReopen takes as long as there is a file "hold-reopen".
func onReopen() {
	note("reopened", "%d", gozd.Generation())
	awaitRemoval("hold-reopen")
}

func awaitRemoval(file string) {
	for {
		if _, err := os.Stat(file); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// echo sends back what comes, behind the generation and the values of two variables.
func echo(conn gozd.Conn) {
	buf := make([]byte, 100)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if err := reply(conn, buf[:n]); err != nil {
			return
		}
	}
}

func reply(conn net.Conn, line []byte) error {
	value := func(name string) string {
		if v, set := os.LookupEnv(name); set {
			return v
		}
		return "-"
	}
	_, err := fmt.Fprintf(conn, "%d %s %s %s", gozd.Generation(), value("HOOKED_A"), value("HOOKED_B"), line)
	return err
}
