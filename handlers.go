package gozd

import (
	"fmt"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// RegistHandler serves a group with handler, in goroutines of gozd's, from now on.
// Its type depends on the group's mode:
//
//	tcp                func(gozd.Conn)
//	http, https, fcgi  http.Handler or func(http.ResponseWriter, *http.Request)
//
// name stands for the handler in errors and in the log. Errors are
// [ErrUnknownGroup], [ErrGroupInUse] and [ErrHandlerType]; after one nothing is
// served.
func (d *Daemon) RegistHandler(group, name string, handler any) error {
	g, err := d.lookup(group)
	if err != nil {
		return err
	}
	serve, err := serverOf(g, handler)
	if err != nil {
		return fmt.Errorf("gozd: handler %q: group %s: %w", name, group, err)
	}
	if _, err := d.take(group); err != nil {
		return err
	}
	go d.serveGroup(g, name, serve)
	return nil
}

// serverOf returns what serves g with handler.
func serverOf(g *group, handler any) (func() error, error) {
	if g.conf.Mode == cfg.TCP {
		h, ok := handler.(func(Conn))
		if !ok || h == nil {
			return nil, fmt.Errorf("%w: mode tcp takes a func(gozd.Conn), not %T", ErrHandlerType, handler)
		}
		return func() error { return tcpx.Serve(g.face, h) }, nil
	}
	h, ok := httpHandler(handler)
	if !ok {
		return nil, fmt.Errorf("%w: mode %s takes an http.Handler or a func(http.ResponseWriter, *http.Request), not %T",
			ErrHandlerType, g.conf.Mode, handler)
	}
	if g.conf.Mode == cfg.FCGI {
		return func() error { return fcgix.Serve(g.face, h) }, nil
	}
	return func() error { return httpx.Serve(g.face, h) }, nil
}

func httpHandler(handler any) (http.Handler, bool) {
	switch h := handler.(type) {
	case http.Handler:
		return h, true
	case func(http.ResponseWriter, *http.Request):
		return http.HandlerFunc(h), h != nil
	}
	return nil, false
}

func (d *Daemon) serveGroup(g *group, name string, serve func() error) {
	err := serve()
	if d.drains() {
		return // that is how it should end
	}
	d.log.Error("group is not served any more", "group", g.conf.Name, "handler", name, "error", err)
}
