//go:build unix

package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// Receiver is the end of the successor. It reads from the channel to its
// predecessor, and from those that are passed on to it.
type Receiver struct {
	take Taker
	keys []byte // JSON

	mu       sync.Mutex                 // guards what follows
	channels map[*channel]chan struct{} // closed when nobody reads from it any more
	stopped  bool
}

// NewReceiver returns a Receiver that gives connections to take, which must be
// safe for concurrent use, and says that it takes those with one of keys.
func NewReceiver(keys []string, take Taker) (*Receiver, error) {
	data, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("handover: %w", err)
	}
	return &Receiver{take: take, keys: data, channels: make(map[*channel]chan struct{})}, nil
}

// Add takes over f, greets the sender on the other end with the keys, and reads
// from it until its end or until PassOn.
func (r *Receiver) Add(f *os.File) error {
	ch, err := open(f)
	if err != nil {
		return err
	}
	if err := ch.write(frame{kind: kindKeys, payload: r.keys}); err != nil {
		ch.close()
		return fmt.Errorf("handover: greet the predecessor: %w", err)
	}
	done := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		ch.close()
		return ErrGone
	}
	r.channels[ch] = done
	go r.receive(ch, done)
	return nil
}

// receive reads from one channel. It stops between two frames, or drops the channel.
func (r *Receiver) receive(ch *channel, done chan<- struct{}) {
	defer close(done)
	for {
		f, fd, lost, err := ch.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return // PassOn has the channel now
		}
		if err == nil {
			fault.At(fault.HandingOver)
			err = r.answer(ch, f, fd, lost)
		}
		if err != nil {
			r.drop(ch)
			return
		}
	}
}

// drop forgets a channel whose sender is gone.
func (r *Receiver) drop(ch *channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.channels, ch)
	ch.close()
}

// answer takes what a frame brings, or refuses it. What is taken is used when the answer is in the channel, and not before: after the
// sudden end of this process the sender goes on with all that it has read no answer for.
func (r *Receiver) answer(ch *channel, f frame, fd int, lost bool) error {
	answered, err := r.accept(f, fd, lost)
	if err != nil {
		clear(f.payload)
		return ch.write(frame{kind: kindRefused, seq: f.seq, payload: []byte(err.Error())})
	}
	fault.At(fault.Taking)
	err = ch.write(frame{kind: kindTaken, seq: f.seq})
	fault.At(fault.Taken)
	answered(err)
	return err
}

// accept duplicates what it keeps of the descriptor.
func (r *Receiver) accept(f frame, fd int, lost bool) (answered func(error), err error) {
	if lost {
		return nil, syscall.EMFILE
	}
	if fd < 0 {
		return nil, errors.New("no descriptor came with it")
	}
	file := os.NewFile(uintptr(fd), "handover")
	defer func() { _ = file.Close() }()
	switch f.kind {
	case kindConn:
		return r.acceptConn(f.payload, file)
	case kindChannel:
		return func(error) {}, r.acceptChannel(file)
	}
	return nil, fmt.Errorf("a frame of kind %d carries no connection", f.kind)
}

func (r *Receiver) acceptConn(payload []byte, file *os.File) (answered func(error), err error) {
	key, state, err := parseConn(payload)
	if err != nil {
		return nil, err
	}
	restore := keepOptions(file)
	conn, err := net.FileConn(file)
	restore()
	if err != nil {
		return nil, err
	}
	if conn.RemoteAddr() == nil { // handlers rely on it, and may crash
		_ = conn.Close()
		return nil, errors.New("its client is gone")
	}
	if answered, err = r.take(key, conn, state); err != nil {
		_ = conn.Close() // our duplicate; the sender's is open
		return nil, err
	}
	return answered, nil
}

func (r *Receiver) acceptChannel(file *os.File) error {
	dup, err := dupFile(file)
	if err != nil {
		return err
	}
	return r.Add(dup)
}

// PassOn gives all channels to this process's own successor, so that older
// generations go on moving connections, and stops reading. What cannot be passed
// on is closed, as is a channel with half a frame whose rest does not come: then
// the older generation keeps its connections.
func (r *Receiver) PassOn(to *Sender) {
	for channels := r.takeChannels(); channels != nil; channels = r.takeChannels() {
		var passing sync.WaitGroup
		for ch, done := range channels { // one that waits for the rest of a frame holds up no other
			passing.Go(func() {
				ch.interrupt()
				<-done
				if to != nil {
					_ = to.MoveChannel(ch.conn) // closed below in any case
				}
				ch.close()
			})
		}
		passing.Wait()
	}
}

// takeChannels takes the channels out of the set. When there are none it has Add refuse
// more, and not before: until the last one is interrupted, a channel can still come
// over it, from a generation that passes on at the same time.
func (r *Receiver) takeChannels() map[*channel]chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	channels := r.channels
	if len(channels) == 0 {
		r.stopped = true
		return nil
	}
	r.channels = make(map[*channel]chan struct{})
	return channels
}

// Close stops reading. Older generations keep their connections.
func (r *Receiver) Close() { r.PassOn(nil) }

func dupFile(f *os.File) (*os.File, error) {
	dup, err := fdpass.Dup(f)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), f.Name()), nil
}
