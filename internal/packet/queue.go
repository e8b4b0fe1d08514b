package packet

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

const (
	// queuePause is how long nothing may have come until the queue counts as empty, and the socket is closed: so long there is
	// for answers to what was read last.
	queuePause = 200 * time.Millisecond

	// queueLimit bounds the emptying of a queue that fills as fast, and of one that nobody reads from.
	queueLimit = time.Second
)

// queue is the kernel's of a socket, and how it is emptied before that is closed.
type queue struct {
	alone   bool      // no other process reads from the socket: see EmptyQueue
	limit   time.Time // when emptying ends at the latest
	quietAt time.Time // when it is empty, if nothing comes
	pressed bool      // the next read has until limit, as something was in the queue when its time was over
}

func (q *queue) begin() {
	q.limit = time.Now().Add(queueLimit)
	q.postpone()
}

// postpone gives the next datagram a moment. Each read has one of its own: the queue of a program that is late is not empty.
func (q *queue) postpone() {
	q.quietAt = time.Now().Add(queuePause)
	if q.pressed || q.quietAt.After(q.limit) {
		q.quietAt = q.limit
	}
	q.pressed = false
}

// isEmpty reports whether the deadline of a read has passed because nothing has come: it may have passed before the read began.
func (q *queue) isEmpty(s socket.Packets) bool {
	now := time.Now()
	late := !now.Before(q.quietAt)
	q.pressed = late && now.Before(q.limit) && isQueued(s)
	return late && !q.pressed
}
