package listen_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

func ExampleListener() {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ln := listen.New(inner, listen.Options{Group: "web"})
	go http.Serve(ln, http.NotFoundHandler())

	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()

	// The successor accepts on a socket of its own by now.
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	r := ln.Drain(ctx)
	fmt.Printf("%s: %d cut\n", ln.Group(), r.Cut)
	// Output: web: 0 cut
}

func ExampleConn() {
	serve := func(c net.Conn) {
		defer c.Close()
		conn, ok := listen.FromConn(c)
		if !ok {
			return
		}
		select {
		case <-conn.Draining():
			fmt.Fprintln(conn, "bye")
		default:
			fmt.Fprintln(conn, "hello from", conn.Group())
		}
	}
	_ = serve // called with what Accept returns
}

func ExamplePatient() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	patient := listen.Patient(ln)
	ln.Close() // no temporary error: Accept does not try again
	_, err = patient.Accept()
	fmt.Println(err != nil)
	// Output: true
}
