package listener

import (
	"net"
	"time"
)

// Activity is what an adapter says of a connection whose bytes it cannot follow
// by an [IdleReader], because another layer, such as TLS, lies between.
type Activity int32

// The activities of a connection. Until an adapter says something it is Unknown,
// and left alone.
const (
	Unknown Activity = iota
	Fresh            // nothing has been asked on it yet
	Busy             // a request is being read or handled
	Idle             // between two requests
)

// freshGrace is how long a fresh connection may take to ask something when idle
// ones end: its client has just been accepted, and perhaps still shakes hands.
const freshGrace = time.Second

// SetActivity says what the connection below c does; see [FromConn]. It is for
// listeners that close idle connections when they drain ([Listener.CloseIdle]):
// one that is idle then, or becomes so, ends, and a fresh one a second later. A request of which a part
// has arrived, or all, is still answered.
func SetActivity(c net.Conn, a Activity) {
	s, ok := socketBelow(c)
	if !ok {
		return
	}
	t := s.part()
	t.doing.Store(int32(a))
	if a == Busy {
		t.batch.Request()
	}
	if a == Idle && t.round.draining.isSet() && closesIdle(t.ln) { // the connection may be older than this round
		endIdle(s)
	}
}

// endIdle ends a connection on which nothing has been read that is not answered. Where something of a request waits in the socket it does
// nothing: when that has been answered the connection is idle again. What arrives meanwhile is still answered if it is whole, since
// only the receiving side is shut down.
func endIdle(s socket) {
	if waits, _ := peek(s.NetConn()); !waits {
		_ = s.CloseRead()
	}
}

// closesIdle reports whether l drains, and idle connections are to end.
func closesIdle(l *Listener) bool {
	rule, now := l.idleRule()
	return now.draining.isSet() && rule.policy == closeIdle
}

// closeQuiet ends the connections that are said to be idle, if they are to end, and later those that
// are still fresh.
func closeQuiet(l *Listener) {
	if !closesIdle(l) {
		return
	}
	closeThose(l.open(), Idle)
	time.AfterFunc(freshGrace, func() { closeThose(l.open(), Fresh) })
}

func closeThose(conns []socket, a Activity) {
	for _, c := range conns {
		if t := c.part(); t.activity() == a && !t.leaving.moving.Load() {
			endIdle(c)
		}
	}
}
