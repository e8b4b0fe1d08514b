//go:build linux

package tools

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

// address returns 127.0.0.1 with a port that nobody has, and keeps it from others
// while the daemon lives: a socket that is bound and does not listen does that.
// Most tools find their sockets again by the address, and need one that is known.
func (d *Daemon) address() (string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("reserve a port: %w", err)
	}
	d.resources = append(d.resources, func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return "", fmt.Errorf("reserve a port: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", fmt.Errorf("reserve a port: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("reserve a port: %w", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), nil
}

// addresses reserves both ports.
func (d *Daemon) addresses() (err error) {
	if d.HTTP, err = d.address(); err != nil {
		return err
	}
	d.TLS, err = d.address()
	return err
}

// Serving asks on a new connection who serves.
func (d *Daemon) Serving(ctx context.Context) (string, error) {
	return ask(ctx, "http://"+d.HTTP+"/", &http.Transport{DisableKeepAlives: true})
}

// Newest returns who has come last, as far as that is known, and otherwise who serves:
// the old process of some tools answers for a while beside the new one.
func (d *Daemon) Newest(ctx context.Context) (string, error) {
	if d.newest != "" {
		return d.newest, nil
	}
	return d.Serving(ctx)
}

// SetNewest notes who has come last; empty: it is not known.
func (d *Daemon) SetNewest(who string) { d.newest = who }

func ask(ctx context.Context, url string, by *http.Transport) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	who := resp.Header.Get(app.ServingHeader)
	if resp.StatusCode != http.StatusOK || who == "" {
		return "", fmt.Errorf("%s: status %d, %s %q", url, resp.StatusCode, app.ServingHeader, who)
	}
	return who, nil
}

// awaitServing returns when both ports answer.
func (d *Daemon) awaitServing(ctx context.Context) error {
	insecure := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it only asks whether somebody is there
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		_, err := d.Serving(ctx)
		if err == nil && d.TLS != "" {
			_, err = ask(ctx, "https://"+d.TLS+"/", &http.Transport{DisableKeepAlives: true, TLSClientConfig: insecure})
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("it does not serve: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
