// Command dns is a recipe: a name server on TCP and UDP, by miekg/dns.
package main

import (
	"errors"
	"log"
	"strconv"

	"github.com/miekg/dns"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("dns")
	conn, err2 := gozd.ListenPacket("dns-udp")
	if err := errors.Join(err, err2); err != nil {
		log.Fatal(err)
	}
	dns.HandleFunc(".", answer)
	go func() { log.Print(dns.ActivateAndServe(ln, nil, nil)) }()   // was: dns.ListenAndServe(":53", "tcp", nil)
	go func() { log.Print(dns.ActivateAndServe(nil, conn, nil)) }() // was: dns.ListenAndServe(":53", "udp", nil)
	<-exit
}

func answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Answer = []dns.RR{&dns.TXT{
		Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET},
		Txt: []string{strconv.Itoa(gozd.Generation())},
	}}
	if err := w.WriteMsg(m); err != nil {
		log.Print(err)
	}
}
