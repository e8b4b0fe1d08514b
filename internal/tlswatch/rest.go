package tlswatch

import "time"

// silence is how long a connection keeps its last records as they are, one or two times over.
const silence = 5 * time.Second

// list puts c among those in use, if it can. mu is held.
func (c *Conn) list() {
	if c.listed || c.watch == nil {
		return
	}
	c.listed = true
	w := c.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used[c] = struct{}{}
	if w.timer == nil {
		w.timer = time.AfterFunc(silence, w.rest)
	}
}

// unlist takes c out of those in use. mu is held.
func (c *Conn) unlist() {
	if !c.listed {
		return
	}
	c.listed = false
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	delete(c.watch.used, c)
}

// rest has the connections rest that have been silent since the last time, and comes again if there are others.
func (w *watch) rest() {
	w.mu.Lock()
	used := make([]*Conn, 0, len(w.used))
	for c := range w.used {
		used = append(used, c)
	}
	w.mu.Unlock()
	for _, c := range used {
		c.rest()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer = nil; len(w.used) > 0 {
		w.timer = time.AfterFunc(silence, w.rest)
	}
}

// rest opens the last records of a silent connection and gives their memory back. One in the middle of a record, or of its
// handshake, is not silent.
func (c *Conn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == "" && (c.touched || c.writing || c.in.have != 0 || c.out.have != 0 || !c.complete) {
		c.touched = false
		return
	}
	c.unlist()
	for _, f := range []*flow{&c.in, &c.out} {
		if c.why == "" {
			_ = c.prove(f) // what is not proved now is not later: without the record there is no proof
		}
		f.last = nil
		if f.half != nil {
			f.half.Rest()
		}
	}
}
