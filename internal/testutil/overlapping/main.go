// Command overlapping is a daemon that does what docs/overlap.md is about: it rotates its own log, has a pool of connections to a
// database, migrates that, opens a port of its own, handles signals, starts child processes, and ends by itself. Clients of group
// line ask for some of it, by a word in a line each; the variable OVERLAPPING names what it does without being asked.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// program is what one of the words in OVERLAPPING adds to the program.
type program struct {
	before func()       // Daemonize
	early  func() error // after Daemonize, before the process can be ready
	last   func()       // after the exit channel
}

var programs = map[string]program{
	"":                  {},
	"children":          {before: endSomeOnReplaced, last: func() { endChildren("at exit") }},
	"migration":         {before: noteUpgrade, early: migrate},
	"one log":           {},
	"pool":              {before: closeIdle},
	"port":              {early: openPort},
	"port in a group":   {early: serveDebug},
	"any port":          {early: openAnyPort},
	"worker":            {early: func() error { return gozd.Only("worker", work) }},
	"SIGTERM ends main": {early: returnAtTERM},
	"SIGHUP is noted":   {early: noteHUP},
	"SIGHUP exits":      {early: exitAtHUP},
	"SIGHUP is ignored": {early: ignoreHUP},
	"signals are reset": {early: resetSignals},
}

// returns is closed when main returns before gozd has said so.
var returns = make(chan struct{})

func main() {
	p, ok := programs[os.Getenv("OVERLAPPING")]
	if !ok {
		log.Fatalf("OVERLAPPING=%q is no program", os.Getenv("OVERLAPPING"))
	}
	if p.before != nil {
		p.before()
	}
	exit := gozd.Daemonize()
	if p.early != nil {
		if err := p.early(); err != nil {
			log.Fatal(err)
		}
	}
	ln, err := gozd.Listen("line")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(tcpx.Serve(ln, converse)) }()
	select {
	case <-exit:
	case <-returns:
		return
	}
	if p.last != nil {
		p.last()
	}
}

// commands are what clients ask for.
var commands = map[string]func(rest string) (string, error){
	"hello":   func(string) (string, error) { return "", nil },
	"log":     writeLog,
	"query":   query,
	"take":    takeAll,
	"give":    giveAll,
	"schema":  readSchema,
	"open":    openPortLate,
	"address": func(string) (string, error) { return anyPort, nil },
	"child":   startChild,
	"reap":    reapAll,
	"exit":    func(string) (string, error) { os.Exit(3); return "", nil },
	"fatal":   func(string) (string, error) { log.Fatal("fatal"); return "", nil },
	"panic":   func(string) (string, error) { panic("panic") },
	"return":  func(string) (string, error) { close(returns); select {} },
}

// converse answers each line by one, which begins with the generation.
func converse(conn gozd.Conn) {
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if _, err := fmt.Fprintf(conn, "%d %s\n", gozd.Generation(), answer(lines.Text())); err != nil {
			return
		}
	}
}

func answer(line string) string {
	word, rest, _ := strings.Cut(line, " ")
	command := commands[word]
	if command == nil {
		return fmt.Sprintf("error: no command %q", word)
	}
	text, err := command(rest)
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}

// note adds a line to a file of the working directory.
func note(file, format string, args ...any) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, format+"\n", args...)
	return errors.Join(err, f.Close())
}
