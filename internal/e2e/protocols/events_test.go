package protocols

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// eventSource is a client of server-sent events, as browsers are: when a stream ends it waits for as long as the server says, and asks again,
// on the same connection if the server keeps that, for what follows the last event.
type eventSource struct {
	address string
	tls     *tls.Config // nil for none
	stop    *atomic.Bool

	conn  net.Conn
	lines *bufio.Reader
	last  string // the ID
	retry time.Duration

	events     []int
	generation atomic.Int64 // that has sent the last event
	streams    int
	dials      int
}

// run ends when the daemon has been stopped, or with an error.
func (s *eventSource) run() error {
	defer func() {
		if s.conn != nil {
			_ = s.conn.Close()
		}
	}()
	for {
		err := s.stream()
		if s.stop.Load() && (err == nil || errors.Is(err, syscall.ECONNREFUSED)) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %d, after event %v: %w", s.streams, s.last, err)
		}
		time.Sleep(s.retry)
	}
}

// stream reads one answer to its end, which must be a clean one.
func (s *eventSource) stream() error {
	if err := s.dial(); err != nil {
		return err
	}
	id := ""
	if s.last != "" {
		id = "Last-Event-ID: " + s.last + "\r\n"
	}
	if _, err := fmt.Fprintf(s.conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n%s\r\n", id); err != nil {
		return err
	}
	resp, err := http.ReadResponse(s.lines, nil)
	if err != nil {
		return err
	}
	s.streams++
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	generation, err := strconv.ParseInt(resp.Header.Get("X-Gozd-Generation"), 10, 64)
	if err != nil {
		return err
	}
	err = s.read(bufio.NewReader(resp.Body), generation)
	if resp.Close {
		_ = s.conn.Close()
		s.conn = nil
	}
	return err
}

func (s *eventSource) dial() (err error) {
	if s.conn != nil {
		return nil
	}
	s.dials++
	if s.conn, err = net.Dial("tcp", s.address); err != nil {
		return err
	}
	if s.tls != nil {
		s.conn = tls.Client(s.conn, s.tls)
	}
	s.lines = bufio.NewReader(s.conn)
	return s.conn.SetDeadline(time.Now().Add(2 * time.Minute))
}

// read reads the events of a stream. One whose empty line has not come is none.
func (s *eventSource) read(body *bufio.Reader, generation int64) error {
	id, data := s.last, ""
	for {
		line, err := body.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return nil
		}
		if err != nil {
			return err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "retry":
			n, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			s.retry = time.Duration(n) * time.Millisecond
		case "id":
			id = value
		case "data":
			data = value
		case "":
			s.last = id
			if data == "" {
				continue
			}
			n, err := strconv.Atoi(data)
			if err != nil {
				return err
			}
			s.events, data = append(s.events, n), ""
			s.generation.Store(generation)
		}
	}
}

// check checks that no event is missing, and none has come twice.
func (s *eventSource) check(t *testing.T) {
	t.Helper()
	for i, n := range s.events {
		if i > 0 && n != s.events[i-1]+1 {
			t.Errorf("event %d follows %d", n, s.events[i-1])
		}
	}
}

// TestEventsOverUpgrades has clients of server-sent events miss none. Each generation ends long before its drain_timeout, as its handlers hear
// of the drain.
func TestEventsOverUpgrades(t *testing.T) {
	tests := []struct {
		name, group string
		secure      bool
		stays       bool // the client's connection goes from generation to generation
	}{
		{"HTTP", "[web]\nmode http\nlisten 127.0.0.1:0\n", false, true},
		{"TLS", "[web]\nmode https\nkey key.pem\ncert cert.pem\nlisten 127.0.0.1:0\n", true, false},
		{"TLS that moves", "[web]\nmode https\nkey key.pem\ncert cert.pem\nmove_tls yes\nlisten 127.0.0.1:0\n", true, true},
		{"spread", "[web]\nmode http\nspread 300ms\nlisten 127.0.0.1:0\n", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const upgrades, clients = 5, 8
			d := daemontest.Prepare(t, binaries.SSE(t), tt.group)
			if err := d.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			stop := new(atomic.Bool)
			var all []*eventSource
			var wg sync.WaitGroup
			for range clients {
				s := &eventSource{address: daemontest.Target(t, d, "web").Address, stop: stop}
				if tt.secure {
					s.tls = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
				}
				all = append(all, s)
				wg.Go(func() {
					if err := s.run(); err != nil {
						t.Error(err)
					}
				})
			}
			for generation := 1; generation <= upgrades+1; generation++ {
				if generation > 1 {
					daemontest.Upgrade(t, d)
				}
				daemontest.Await(t, fmt.Sprintf("event of generation %d", generation), func() bool {
					for _, s := range all {
						if s.generation.Load() < int64(generation) {
							return false
						}
					}
					return true
				})
			}
			if err := daemontest.WaitAlive(t, d, 1, 20*time.Second); err != nil {
				t.Error(err)
			}
			stop.Store(true)
			began := time.Now()
			if err := d.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second { // stop_timeout is 10 s
				t.Errorf("the stop took %v", took)
			}
			wg.Wait()
			total := 0
			for _, s := range all {
				s.check(t)
				total += len(s.events)
				if s.streams < upgrades+1 || tt.stays && s.dials != 1 {
					t.Errorf("a client had %d streams on %d connections", s.streams, s.dials)
				}
			}
			t.Logf("%d events for %d clients, none missing", total, clients)
		})
	}
}
