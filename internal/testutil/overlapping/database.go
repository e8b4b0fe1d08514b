package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// pool is of OVERLAPPING_CONNECTIONS at most, to the database at OVERLAPPING_DATABASE.
var pool = sync.OnceValue(func() *sql.DB {
	db := sql.OpenDB(connector{os.Getenv("OVERLAPPING_DATABASE")})
	db.SetMaxOpenConns(connections())
	db.SetMaxIdleConns(connections())
	return db
})

func connections() int {
	n, _ := strconv.Atoi(os.Getenv("OVERLAPPING_CONNECTIONS")) // 0 is no limit
	return n
}

func closeIdle() {
	gozd.Defaults.OnReplaced = func() { pool().SetMaxIdleConns(0) }
	gozd.Defaults.OnResume = func(context.Context) error { pool().SetMaxIdleConns(connections()); return nil }
}

func query(string) (string, error) {
	_, err := pool().ExecContext(context.Background(), "query")
	return "", err
}

// taken are connections in use.
var taken struct {
	sync.Mutex
	all []*sql.Conn
}

// takeAll takes all connections that the pool has, and giveAll gives them back to it.
func takeAll(string) (string, error) {
	taken.Lock()
	defer taken.Unlock()
	for range connections() {
		c, err := pool().Conn(context.Background())
		if err != nil {
			return "", err
		}
		taken.all = append(taken.all, c)
	}
	return "", nil
}

func giveAll(string) (string, error) {
	taken.Lock()
	defer taken.Unlock()
	var errs []error
	for _, c := range taken.all {
		errs = append(errs, c.Close())
	}
	taken.all = nil
	return "", errors.Join(errs...)
}

// connector is a driver whose database a test has. Each connection says first which generation has it.
type connector struct{ address string }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	conn := &conn{nc, bufio.NewReader(nc)}
	if err := conn.ask(strconv.Itoa(gozd.Generation())); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return conn, nil
}

func (c connector) Driver() driver.Driver { return nil }

type conn struct {
	net.Conn
	r *bufio.Reader
}

func (c *conn) ask(line string) error {
	if _, err := fmt.Fprintln(c.Conn, line); err != nil {
		return err
	}
	text, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	if text = strings.TrimSpace(text); text != "ok" {
		return errors.New(text)
	}
	return nil
}

func (c *conn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, c.ask(query)
}

func (*conn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (*conn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
