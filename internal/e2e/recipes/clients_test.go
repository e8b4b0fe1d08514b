package recipes

import (
	"bufio"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net/rpc"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/crypto/ssh"
)

// askAll asks as often as one session may.
func askAll(l *load, ask func() (generation int, err error)) error {
	for range perSession {
		generation, err := ask()
		if err != nil {
			return err
		}
		if err := l.answer(generation); err != nil {
			return err
		}
	}
	return nil
}

func askLines(address string, l *load) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	return askAll(l, func() (generation int, err error) {
		if _, err := fmt.Fprintf(conn, "good morning\n"); err != nil {
			return 0, err
		}
		_, err = fmt.Fscanf(answers, "generation %d: good morning\n", &generation)
		return generation, err
	})
}

func askRedis(address string, l *load) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	if err := askAll(l, func() (generation int, err error) {
		if _, err := fmt.Fprintf(conn, "*1\r\n$10\r\nGENERATION\r\n"); err != nil {
			return 0, err
		}
		_, err = fmt.Fscanf(answers, ":%d\r\n", &generation)
		return generation, err
	}); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "*1\r\n$4\r\nQUIT\r\n"); err != nil {
		return err
	}
	_, err = fmt.Fscanf(answers, "+OK\r\n")
	return err
}

func askSMTP(address string, l *load) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	c := textproto.NewConn(conn)
	defer func() { _ = c.Close() }()
	_, greeting, err := c.ReadResponse(220)
	if err != nil {
		return err
	}
	var generation int
	if _, err := fmt.Sscanf(greeting, "generation-%d", &generation); err != nil {
		return fmt.Errorf("greeting %q: %w", greeting, err)
	}
	said := func(command string, want int) error {
		if err := c.PrintfLine("%s", command); err != nil {
			return err
		}
		_, _, err := c.ReadResponse(want)
		return err
	}
	if err := said("EHLO client", 250); err != nil {
		return err
	}
	if err := askAll(l, func() (int, error) {
		for _, line := range []struct {
			text string
			want int
		}{{"MAIL FROM:<a@example.org>", 250}, {"RCPT TO:<b@example.org>", 250}, {"DATA", 354}, {"hello\r\n.", 250}} {
			if err := said(line.text, line.want); err != nil {
				return 0, fmt.Errorf("%s: %w", line.text, err)
			}
		}
		return generation, nil
	}); err != nil {
		return err
	}
	return said("QUIT", 221)
}

// hostKey is the one of the SSH server.
var hostKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func writeHostKey(dir string) error {
	block, err := ssh.MarshalPrivateKey(hostKey, "")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "host_key"), pem.EncodeToMemory(block), 0o600)
}

// askSSH wants the same host key of all generations.
func askSSH(address string, l *load) error {
	key, err := ssh.NewPublicKey(hostKey.Public())
	if err != nil {
		return err
	}
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	transport, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(key)})
	if err != nil {
		return err
	}
	c := ssh.NewClient(transport, channels, requests)
	defer func() { _ = c.Close() }()
	return askAll(l, func() (generation int, err error) {
		s, err := c.NewSession()
		if err != nil {
			return 0, err
		}
		defer func() { _ = s.Close() }()
		text, err := s.Output("generation")
		if err != nil {
			return 0, err
		}
		_, err = fmt.Sscanf(string(text), "generation %d", &generation)
		return generation, err
	})
}

func askRPC(address string, l *load) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	c := rpc.NewClient(conn)
	defer func() { _ = c.Close() }()
	return askAll(l, func() (generation int, err error) {
		err = c.Call("Service.Generation", struct{}{}, &generation)
		return generation, err
	})
}

// askDNS returns the session of a client of DNS on a network. One that gets an answer to another question than its last fails.
func askDNS(network string) session {
	return func(address string, l *load) error {
		c, err := dns.DialTimeout(network, address, patience)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return askAll(l, func() (int, error) { return askName(c) })
	}
}

// waitDNS asks once by TCP and then says nothing, until the server ends the connection.
func waitDNS(address string) (later func(generation int) error, err error) {
	c, err := dns.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	if _, err := askName(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return func(int) error {
		defer func() { _ = c.Close() }()
		return ended(c.Conn)
	}, nil
}

// paced is a client of UDP that asks at most once in an interval, by one socket as long as there is a load.
func paced(interval time.Duration) session {
	return func(address string, l *load) error {
		c, err := dns.DialTimeout("udp", address, patience)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for ; l.goesOn(); <-tick.C {
			generation, err := askName(c)
			if err != nil {
				return err
			}
			if err := l.answer(generation); err != nil {
				return err
			}
		}
		return nil
	}
}

func askName(c *dns.Conn) (generation int, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	q := new(dns.Msg).SetQuestion("generation.example.org.", dns.TypeTXT)
	if err := c.WriteMsg(q); err != nil {
		return 0, err
	}
	a, err := c.ReadMsg()
	if err != nil {
		return 0, err
	}
	if a.Id != q.Id || len(a.Answer) != 1 {
		return 0, fmt.Errorf("query %d is answered %v", q.Id, a)
	}
	return strconv.Atoi(strings.Join(a.Answer[0].(*dns.TXT).Txt, ""))
}
