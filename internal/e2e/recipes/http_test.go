package recipes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// patience is how long a client waits for an answer.
const patience = 30 * time.Second

// dial connects, for one question or for a session.
func dial(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(2 * patience))
}

// web is how a recipe speaks HTTP/1.1.
type web struct {
	header string // what a load balancer says first
	rest   string // what stands behind the generation in each answer
	moves  bool   // whether idle connections go to the next generation
}

// dial returns a function that asks once by a new connection. After last, nothing more is answered by it.
func (w web) dial(address string) (conn net.Conn, get func() (generation int, last bool, err error), err error) {
	conn, err = dial(address)
	if err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(conn, w.header); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	answers := bufio.NewReader(conn)
	return conn, func() (int, bool, error) { return w.get(conn, answers) }, nil
}

func (w web) get(conn net.Conn, answers *bufio.Reader) (generation int, last bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return 0, false, err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"); err != nil {
		return 0, false, err
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return 0, false, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, false, errors.Join(fmt.Errorf("%s: %s", resp.Status, body), err)
	}
	if n, _ := fmt.Sscanf(string(body), "generation %d", &generation); n != 1 || !strings.HasSuffix(string(body), w.rest+"\n") {
		return 0, false, fmt.Errorf("answer %q", body)
	}
	return generation, resp.Close, nil
}

// ask keeps its connection as long as the server does.
func (w web) ask(address string, l *load) error {
	conn, get, err := w.dial(address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for l.goesOn() {
		generation, last, err := get()
		if err != nil {
			return err
		}
		if err := l.answer(generation); err != nil || last {
			return err
		}
	}
	return nil
}

// wait asks once and then says nothing. What it returns fails unless the connection has moved to that generation, or has ended
// where it does not move.
func (w web) wait(address string) (later func(generation int) error, err error) {
	conn, get, err := w.dial(address)
	if err != nil {
		return nil, err
	}
	if _, last, err := get(); err != nil || last {
		return nil, errors.Join(fmt.Errorf("first answer, last %t", last), err, conn.Close())
	}
	return func(want int) error {
		defer func() { _ = conn.Close() }()
		if !w.moves {
			return ended(conn)
		}
		if generation, _, err := get(); generation != want || err != nil {
			return fmt.Errorf("an idle connection is answered by generation %d, %w", generation, err)
		}
		return nil
	}, nil
}

// ended fails unless nothing more comes from a connection.
func ended(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("an idle connection reads %d bytes, %w", n, err)
	}
	return nil
}
