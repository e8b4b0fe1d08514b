//go:build linux

package tools

import (
	"context"
	"fmt"
	"net"
)

// StartIdle starts gozd for so many connections. It listens on all addresses of this
// machine, so that clients on loopback have enough ports to come from.
func StartIdle(ctx context.Context, e *Env, connections int) (*Daemon, error) {
	t := gozd
	t.start = func(ctx context.Context, e *Env, d *Daemon) error {
		if err := d.addresses(); err != nil {
			return err
		}
		return startGozd(ctx, e, d, "gozd", gozdConf("0.0.0.0:"+port(d.HTTP), "0.0.0.0:"+port(d.TLS), e, connections+100))
	}
	return t.Start(ctx, e)
}

// perAddress is how many connections go to one of the addresses 127.0.0.x, for each
// of which there are 28,000 ports to come from.
const perAddress = 20_000

// Nth returns the address for connection number i.
func Nth(address string, i int) string {
	return net.JoinHostPort(fmt.Sprintf("127.0.0.%d", 1+i/perAddress), port(address))
}
