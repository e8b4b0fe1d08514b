//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// schemaFile describes what --json prints.
const schemaFile = "../../docs/gozdctl.schema.json"

var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(schemaFile)
})

// validateLines holds each line of JSON against the schema.
func validateLines(text string) error {
	s, err := schema()
	if err != nil {
		return err
	}
	if text == "" {
		return fmt.Errorf("there is no JSON")
	}
	for line := range strings.Lines(text) {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = s.Validate(v)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, line)
		}
		if err := onlyKnown(line); err != nil {
			return err
		}
	}
	return nil
}

// onlyKnown refuses fields that the type of the output has not: the schema is of that.
func onlyKnown(line string) error {
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	return d.Decode(new(outcome))
}

// heldConns are those that a script keeps open.
type heldConns struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *heldConns) add(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, conn)
}

func (c *heldConns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}

// scriptConnect is "connect PIDFILE GROUP N": N connections that the generation which serves has
// answered on, and that stay open; with 0, all that there are are closed. The group answers lines.
func scriptConnect(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: connect PIDFILE GROUP N")
	}
	all := ts.Value("connections").(*heldConns)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	if n == 0 {
		all.close()
		return
	}
	s, err := process.ReadState(ts.MkAbs(args[0]))
	ts.Check(err)
	network, address, _ := strings.Cut(s.Listen[args[1]], " ")
	awaitTrue(ts, "the connections", func() bool {
		for n > 0 {
			conn, pid, err := connectTo(network, address)
			ts.Check(err)
			// In the moment of an upgrade the generation before may still accept, or the state file name it.
			if s, err := process.ReadState(ts.MkAbs(args[0])); err != nil || s.PID != pid {
				_ = conn.Close()
				return false
			}
			all.add(conn)
			n--
		}
		return true
	})
}

// connectTo returns a connection on which a line has been answered, and by which process.
func connectTo(network, address string) (net.Conn, int, error) {
	conn, err := net.DialTimeout(network, address, scriptWait)
	if err != nil {
		return nil, 0, err
	}
	_ = conn.SetDeadline(time.Now().Add(scriptWait))
	_, err = conn.Write([]byte("hello\n"))
	var line string
	if err == nil {
		line, err = bufio.NewReader(conn).ReadString('\n')
	}
	var pid int
	if err == nil {
		_, err = fmt.Sscanf(line, "%d hello", &pid)
	}
	if err != nil {
		_ = conn.Close()
		return nil, 0, err
	}
	return conn, pid, conn.SetDeadline(time.Time{})
}
