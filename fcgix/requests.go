package fcgix

import "sync"

// roleResponder is the only role that net/http/fcgi plays (FastCGI 1.0, section 6.2).
const roleResponder = 1

// requests are those on a connection that are not answered to the end. They follow what net/http/fcgi does with each record
// (child.handleRecord, go1.25 and go1.26). Its methods are safe for concurrent use.
type requests struct {
	mu   sync.Mutex     // guards what follows; never held during a write, which would stop Read
	ends map[uint16]int // the END_REQUESTs to come, by number; the next request may begin before an end is noted

	// input has those whose input goes on, and whether their handlers run. When such a one is aborted it is ended at once, and once more when its handler
	// returns, which may write on until then.
	input map[uint16]bool

	keep bool // the web server means to keep the connection (FCGI_KEEP_CONN)

	answered chan struct{} // has a value when all may be answered
}

// newRequests has none: the connection is kept until the first says otherwise.
func newRequests() *requests {
	return &requests{ends: make(map[uint16]int), input: make(map[uint16]bool), keep: true, answered: make(chan struct{}, 1)}
}

// came is called for each record of the web server's, the one that in has come to the end of.
func (q *requests) came(in *records, kind byte, id uint16) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch runs, goesOn := q.input[id]; {
	case kind == typeBeginRequest:
		q.ends[id]++
		q.keep = in.flags()&flagKeepConn != 0
		if in.role() == roleResponder {
			q.input[id] = false
		}
	case kind == typeStdin && in.content() == 0:
		delete(q.input, id)
	case kind == typeStdin && goesOn:
		q.input[id] = true
	case kind == typeAbortRequest && goesOn:
		delete(q.input, id)
		if runs {
			q.ends[id]++
		}
	}
}

// ended is called when END_REQUESTs have been written.
func (q *requests) ended(ids []uint16) {
	if len(ids) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if q.ends[id]--; q.ends[id] <= 0 {
			delete(q.ends, id)
		}
	}
	if len(q.ends) == 0 {
		select {
		case q.answered <- struct{}{}:
		default:
		}
	}
}

// areAnswered reports whether every request that has begun is answered, and nobody writes any more.
func (q *requests) areAnswered() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ends) == 0
}

// areKept reports whether the web server will send another request on the connection.
func (q *requests) areKept() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keep
}
