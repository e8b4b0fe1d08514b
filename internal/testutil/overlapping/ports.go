package main

import (
	"log"
	"net"
	"net/http"
	"os"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func ownAddress() string { return os.Getenv("OVERLAPPING_ADDRESS") }

// openPort opens a port of the program's own, before the process can be ready.
func openPort() error {
	ln, err := net.Listen("tcp", ownAddress())
	if err != nil {
		return err
	}
	go func() { log.Fatal(http.Serve(ln, nil)) }()
	return nil
}

// openPortLate is what many a program does that serves already.
func openPortLate(string) (string, error) {
	go func() { log.Fatal(http.ListenAndServe(ownAddress(), nil)) }()
	return "", nil
}

// anyPort is where openAnyPort serves.
var anyPort string

func openAnyPort() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	anyPort = ln.Addr().String()
	go func() { log.Fatal(http.Serve(ln, nil)) }()
	return nil
}

func serveDebug() error {
	ln, err := gozd.Listen("debug")
	if err != nil {
		return err
	}
	go func() { log.Fatal(httpx.Serve(ln, http.NotFoundHandler())) }()
	return nil
}
