package gozd

import (
	"fmt"
	"net"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// RegistHandler serves a group with handler, in goroutines of gozd's, from now on.
// Its type depends on the group's mode:
//
//	tcp                func(gozd.Conn)
//	http, https, fcgi  http.Handler or func(http.ResponseWriter, *http.Request)
//
// name stands for the handler in errors and in the log. Errors are
// [ErrUnknownGroup], [ErrGroupInUse], [ErrHandlerType] and [ErrMode]; after one nothing is
// served.
func (d *Daemon) RegistHandler(group, name string, handler any) error {
	mode, err := d.engine.Mode(group)
	if err != nil {
		return err
	}
	serve, err := serverOf(mode, handler)
	if err != nil {
		return fmt.Errorf("gozd: handler %q: group %s: %w", name, group, err)
	}
	ln, err := d.engine.Listen(group)
	if err != nil {
		return err
	}
	go func() { d.engine.ServeEnded(group, name, serve(ln)) }()
	return nil
}

// serverOf returns what serves a group of that mode with handler.
func serverOf(mode config.Mode, handler any) (func(net.Listener) error, error) {
	if mode == config.UDP {
		return nil, fmt.Errorf("%w: mode udp takes no handler, call ListenPacket", ErrMode)
	}
	if mode == config.TCP {
		h, ok := handler.(func(Conn))
		if !ok || h == nil {
			return nil, fmt.Errorf("%w: mode tcp takes a func(gozd.Conn), not %T", ErrHandlerType, handler)
		}
		return func(ln net.Listener) error { return tcpx.Serve(ln, h) }, nil
	}
	h, ok := httpHandler(handler)
	if !ok {
		return nil, fmt.Errorf("%w: mode %s takes an http.Handler or a func(http.ResponseWriter, *http.Request), not %T",
			ErrHandlerType, mode, handler)
	}
	if mode == config.FCGI {
		return func(ln net.Listener) error { return fcgix.Serve(ln, h) }, nil
	}
	return func(ln net.Listener) error { return httpx.Serve(ln, h) }, nil
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
