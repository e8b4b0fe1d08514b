package h2move

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Restore is the conversation with a new server, at whose end that is in a State. The server is to read what Read returns, and
// Write has what it says to it. The request that it gets meanwhile is for ServeHTTP. Line numbers are those of server.go and
// frame.go in golang.org/x/net/http2 v0.58.0:
//
//  1. SETTINGS, which must come first (server.go:1433), of no table for headers: what the server answers to the request must not enter one
//     that the client does not know of. The server's own SETTINGS are acknowledged, once (:1614).
//  2. The client's table, in header blocks that are no requests, as a name in them is not valid: these cost an RST_STREAM
//     (frame.go:1813). A decoder that has entries that the client's encoder has thrown away is as good: the newest are the same.
//  3. A request on the client's last stream, so that the server does not take a late frame on an old stream for a mistake
//     (server.go:1518, :1550, :1718). It is answered by as many bytes as the window for sending is smaller than that of a new connection.
//  4. The client's SETTINGS. The server's table begins with the size of 0, and so the next header block that the client gets tells
//     it to empty its own (RFC 7541, section 4.2).
//  5. WINDOW_UPDATE, where the window is larger than that of a new connection; and a PING, whose answer is the end.
type Restore struct {
	state *State
	ping  [8]byte

	mu       sync.Mutex // guards what follows
	changed  sync.Cond
	script   []byte // what the server is to read next
	answered bool   // the request
	done     bool
	closed   bool
	sieve    Sieve
	settings Settings // the server's
	granted  int64    // by it, for the whole connection
}

// ErrNotRestored is what a server gets that does not answer as it should.
var ErrNotRestored = errors.New("h2move: the server cannot take the connection up")

// NewRestore begins the conversation that ends in s.
func NewRestore(s *State) *Restore {
	own := *s
	own.Pending = nil // it is as long as the connection lives
	r := &Restore{state: &own, ping: newPing()}
	r.changed.L = &r.mu
	r.script = r.begin()
	if s.Last == 0 {
		r.answered = true
		r.script = append(r.script, r.finish()...)
	}
	return r
}

// begin is the script until the request.
func (r *Restore) begin() []byte {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil) // a Buffer's Write does not fail, and nothing here is too long
	_ = fr.WriteSettings(
		http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: initialWindow})
	_ = fr.WriteSettingsAck()
	for _, block := range tableBlocks(r.state.Table) {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: r.tableStream(), BlockFragment: block, EndStream: true, EndHeaders: true})
	}
	if r.state.Last > 0 {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: r.state.Last, BlockFragment: request, EndStream: true, EndHeaders: true})
	}
	return b.Bytes()
}

// tableStream is one on which nothing else is said.
func (r *Restore) tableStream() uint32 {
	if r.state.Last == 1 {
		return 3
	}
	return 1
}

// request is GET / by http of the host x, of which nothing enters a table (RFC 7541, appendix A and section 6.2.2).
var request = []byte{0x82, 0x84, 0x86, 0x01, 1, 'x'}

// finish is the script after the request.
func (r *Restore) finish() []byte {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	theirs := slices.DeleteFunc(slices.Clone(r.state.Theirs), func(s http2.Setting) bool { return s.ID == http2.SettingHeaderTableSize })
	_ = fr.WriteSettings(append(theirs, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})...)
	_ = fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: r.state.Theirs.Get(http2.SettingHeaderTableSize)})
	if more := r.state.SendWindow - initialWindow; more > 0 {
		_ = fr.WriteWindowUpdate(0, uint32(more))
	}
	_ = fr.WritePing(false, r.ping)
	return b.Bytes()
}

// ServeHTTP answers the request.
func (r *Restore) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if less := initialWindow - r.state.SendWindow; less > 0 {
		_, _ = w.Write(make([]byte, less)) // an error shows in the answers
	}
}

// Read gives the server what it is to read next, and waits for that. At the end of the conversation, or after Close, it returns 0.
func (r *Restore) Read(b []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.script) == 0 && !r.done && !r.closed {
		r.changed.Wait()
	}
	n := copy(b, r.script)
	r.script = r.script[n:]
	return n
}

// Write takes what the server says. rest is what of it is for the client: all that follows the end of the conversation.
func (r *Restore) Write(b []byte) (rest []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest = r.sieve.Push(b, nil, func(*Header) bool { return !r.done }, func(frame []byte) bool {
		goes, frameErr := r.hear(frame)
		err = errors.Join(err, frameErr)
		return goes
	})
	return rest, err
}

// hear reports whether a frame of the server's is for the client.
func (r *Restore) hear(frame []byte) (goes bool, err error) {
	h, payload := Header(frame), frame[HeaderLen:]
	switch h.Type() {
	case http2.FrameSettings:
		if !h.Has(http2.FlagSettingsAck) {
			r.settings.take(payload)
		}
	case http2.FrameWindowUpdate:
		if h.Stream() == 0 && len(payload) == 4 {
			r.granted += int64(binary.BigEndian.Uint32(payload))
		}
	case http2.FrameHeaders, http2.FrameData:
		if h.Stream() == r.state.Last && h.Has(http2.FlagDataEndStream) && !r.answered {
			r.answered = true
			r.say(r.finish())
		}
	case http2.FrameRSTStream:
		if h.Stream() == r.state.Last {
			return false, ErrNotRestored
		}
	case http2.FramePing:
		if h.Has(http2.FlagPingAck) && string(payload) == string(r.ping[:]) {
			r.done = true
			r.changed.Broadcast()
		}
	case http2.FrameGoAway: // the program ends its server, say; the number of the last stream is right
		return true, nil
	}
	return false, nil
}

func (r *Restore) say(script []byte) {
	r.script = append(r.script, script...)
	r.changed.Broadcast()
}

// Close ends the conversation: the server has ended.
func (r *Restore) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed, r.script = true, nil
	r.changed.Broadcast()
}

// IsOver reports whether the server is in the state, and all that it says is for the client, without Write.
func (r *Restore) IsOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done && r.sieve.isBetween()
}

// Limits are what the server has said of itself. They are whole when the conversation is.
func (r *Restore) Limits() Limits {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Limits{r.settings, initialWindow + r.granted}
}

// Grant returns the frame by which the client learns of the rest of the server's window for receiving; nil if it has all.
func (r *Restore) Grant() []byte {
	more := r.Limits().Window - r.state.RecvWindow
	if more <= 0 {
		return nil
	}
	var b bytes.Buffer
	_ = http2.NewFramer(&b, nil).WriteWindowUpdate(0, uint32(more))
	return b.Bytes()
}

// Limits are what a server's clients have to keep to.
type Limits struct {
	Settings Settings
	Window   int64 // for receiving on the connection, in bytes
}

// Admit returns an error where a server of these limits cannot take up s: its client would have to learn of new settings, and may have
// begun a request by the old ones; or it has been granted more than the server would let it send.
func (l *Limits) Admit(s *State) error {
	if !s.Ours.Equal(l.Settings) {
		return errors.New("h2move: this server has other settings for HTTP/2")
	}
	if s.RecvWindow > l.Window {
		return errors.New("h2move: this server has a smaller window for HTTP/2")
	}
	return nil
}

// blockLimit is less than the least SETTINGS_MAX_FRAME_SIZE, by what tableBlocks puts around an entry.
const blockLimit = 16384 - 64

// tableBlocks are header blocks that bring the entries of a table, the oldest first, into a decoder. None is a valid request: each begins
// with a name that has a capital letter (RFC 9113, section 8.2.1), which x/net does not look past.
func tableBlocks(table []hpack.HeaderField) (blocks [][]byte) {
	var block []byte
	for _, f := range slices.Backward(table) {
		if len(block) > 0 && len(block)+int(f.Size()) > blockLimit {
			blocks = append(blocks, block)
			block = nil
		}
		if block == nil {
			block = []byte{0x00, 1, 'X', 0} // a literal without indexing
		}
		block = append(block, 0x40) // a literal with indexing, RFC 7541, section 6.2.1
		block = appendString(block, f.Name)
		block = appendString(block, f.Value)
	}
	if block != nil {
		blocks = append(blocks, block)
	}
	return blocks
}

func appendString(b []byte, s string) []byte {
	return append(appendInt(b, 0, 7, uint64(len(s))), s...)
}

// appendInt appends i with a prefix of n bits, below the bits of first (RFC 7541, section 5.1).
func appendInt(b []byte, first byte, n uint, i uint64) []byte {
	most := uint64(1)<<n - 1
	if i < most {
		return append(b, first|byte(i))
	}
	b = append(b, first|byte(most))
	return binary.AppendUvarint(b, i-most) // 7 bits a byte, the lowest first: the same
}
