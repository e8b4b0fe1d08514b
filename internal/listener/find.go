package listener

import (
	"net"
	"reflect"
	"runtime"
	"sync"
	"weak"
)

// maxLayers bounds the search below a connection: a layer may name itself.
const maxLayers = 16

// FromConn finds the [Conn] in c: c itself, or what is below it, as long as
// every layer has a method NetConn or Unwrap that returns a net.Conn, as *tls.Conn does, or embeds
// one in a field Conn, as the connections of netutil.LimitListener and of cmux do.
func FromConn(c net.Conn) (Conn, bool) {
	for range maxLayers {
		if c == nil {
			break
		}
		if conn, ok := c.(Conn); ok {
			return conn, true
		}
		c = below(c)
	}
	return nil, false
}

// socketBelow is FromConn for connections of a [Listener] only.
func socketBelow(c net.Conn) (socket, bool) {
	conn, _ := FromConn(c)
	s, ok := conn.(socket)
	return s, ok
}

// below returns the connection under a layer, nil if that does not show it.
func below(c net.Conn) net.Conn {
	switch w := c.(type) {
	case interface{ NetConn() net.Conn }:
		return w.NetConn()
	case interface{ Unwrap() net.Conn }:
		return w.Unwrap()
	case interface{ Raw() net.Conn }: // github.com/pires/go-proxyproto
		return w.Raw()
	}
	v := reflect.Indirect(reflect.ValueOf(c))
	if v.Kind() != reflect.Struct {
		return nil
	}
	f, ok := v.Type().FieldByName("Conn")
	if !ok || !f.Anonymous || len(f.Index) != 1 {
		return nil
	}
	inner, _ := reflect.TypeAssert[net.Conn](v.FieldByIndex(f.Index))
	return inner
}

// FromListener finds the [Listener] in ln: ln itself, the one inside a
// [TLSListener], or the one below any other layer whose Addr is the Listener's very own, as that of a layer that embeds it is.
func FromListener(ln net.Listener) (*Listener, bool) {
	switch ln := ln.(type) {
	case nil:
		return nil, false
	case *Listener:
		return ln, true
	case *TLSListener:
		return ln.Listener, true
	}
	return known.find(ln.Addr())
}

// known are the listeners by their addresses, each a pointer of its own.
var known registry

type registry struct{ listeners sync.Map } // of net.Addr to weak.Pointer[Listener]

func (r *registry) add(l *Listener) {
	r.listeners.Store(l.addr, weak.Make(l))
	runtime.AddCleanup(l, func(a net.Addr) { r.listeners.Delete(a) }, l.addr)
}

func (r *registry) find(a net.Addr) (*Listener, bool) {
	if !isPointer(a) {
		return nil, false // it may not even be comparable
	}
	found, ok := r.listeners.Load(a)
	if !ok {
		return nil, false
	}
	p, _ := found.(weak.Pointer[Listener])
	l := p.Value()
	return l, l != nil
}

func isPointer(a net.Addr) bool { return a != nil && reflect.TypeOf(a).Kind() == reflect.Pointer }

// ownAddr returns a copy of a, so that its address tells a Listener from the one that it is over.
func ownAddr(a net.Addr) net.Addr {
	if !isPointer(a) || reflect.ValueOf(a).IsNil() {
		return a
	}
	v := reflect.ValueOf(a).Elem()
	if v.Type().Size() == 0 {
		return a // all pointers to nothing may be the same
	}
	own := reflect.New(v.Type())
	own.Elem().Set(v)
	copied, _ := reflect.TypeAssert[net.Addr](own)
	return copied
}
