// Command ssh is a recipe: a server by x/crypto/ssh that answers "exec".
package main

import (
	"fmt"
	"log"
	"os"

	"golang.org/x/crypto/ssh"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

var config = &ssh.ServerConfig{NoClientAuth: true}

func main() {
	exit := gozd.Daemonize()
	pem, err := os.ReadFile("host_key") // a file: all generations have the same key
	if err != nil {
		log.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		log.Fatal(err)
	}
	config.AddHostKey(key)
	if err := gozd.RegistHandler("ssh", "exec", serve); err != nil { // was: ln.Accept() in a loop, and go serve(conn)
		log.Fatal(err)
	}
	<-exit
}

func serve(conn gozd.Conn) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if session, requests, err := c.Accept(); err == nil {
			go answer(session, requests)
		}
	}
}

func answer(session ssh.Channel, requests <-chan *ssh.Request) {
	defer session.Close()
	for r := range requests {
		r.Reply(r.Type == "exec", nil)
		if r.Type == "exec" {
			fmt.Fprintf(session, "generation %d\n", gozd.Generation())
			session.SendRequest("exit-status", false, make([]byte, 4))
			return
		}
	}
}
