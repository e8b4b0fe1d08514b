// Command smtp is a recipe: a mail server by go-smtp.
package main

import (
	"fmt"
	"io"
	"log"
	"time"

	"github.com/emersion/go-smtp"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// session takes mail, and throws it away.
type session struct{}

func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }
func (session) Reset()                               {}
func (session) Logout() error                        { return nil }

func main() {
	exit := gozd.Daemonize()
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{}, nil }))
	s.Domain = fmt.Sprintf("generation-%d.example.org", gozd.Generation())
	s.ReadTimeout = 5 * time.Minute // then an idle client is told "421", also while the process drains
	ln, err := gozd.Listen("smtp")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(s.Serve(ln)) }() // was: s.ListenAndServe()
	<-exit
}
