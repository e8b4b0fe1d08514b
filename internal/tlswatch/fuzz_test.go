package tlswatch_test

import (
	"io"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// FuzzFollow has a client send records of any type, content and padding to crypto/tls, and its keys change at will. If the tracker is ready to move the
// connection, it knows what crypto/tls has. Where the records are sound and nothing is hidden it is ready.
func FuzzFollow(f *testing.F) {
	f.Add([]byte("\x17\x05hello\x18\x00\x17\x02ab"))
	f.Add([]byte("\x18\x01\x17\x05hello\x18\x00\x18\x01"))
	f.Add([]byte("\x16\x02\x18\x00\x16\x03\x00\x01\x00\x17\x01a"))
	f.Add([]byte("\x14\x01\x01\x98\x05\x17\x01a"))
	f.Fuzz(func(t *testing.T, script []byte) {
		s := serve(t, tlspeer.ServerConfig(t))
		open, useless := true, 0
		for len(script) >= 2 {
			kind, n := script[0], min(int(script[1]), len(script)-2)
			content := string(script[2 : 2+n])
			script = script[2+n:]
			if useless++; useless > 16 { // crypto/tls has enough
				open = false
			}
			switch {
			case kind == 0x14:
				s.raw.Write(append([]byte{20, 3, 3, 0, byte(n)}, content...))
				open = open && content == "\x01"
			case kind&0x7f == 0x18: // a KeyUpdate, padded if the high bit is set
				s.raw.Write(s.raw.Seal(handshake, tlspeer.KeyUpdate(n&1 != 0), int(kind>>7)*n))
				s.raw.Out.Update()
				open = open && (kind == 0x18 || n == 0)
			default:
				s.raw.Write(s.raw.Seal(kind&0x7f, content, int(kind>>7)*n))
				open = open && kind&0x7f == data && n > 0
				useless = 0
			}
		}
		s.tls.SetReadDeadline(time.Unix(1, 0))
		_, err := io.Copy(io.Discard, s.tls)
		s.tls.SetReadDeadline(time.Time{})
		state, stays := s.watched.State()
		if stays != nil {
			if open {
				t.Errorf("stays: %v, after %v", stays, err)
			}
			if _, ok := stays.(tlsrec.Reason); !ok {
				t.Errorf("%v is no Reason", stays)
			}
			return
		}
		state.Clear()
		agree(t, s.watched, s.tls)
		if err := tlswatch.Err(); err != nil {
			t.Error(err)
		}
		// What is said to be idle is: crypto/tls has no part of a message.
		s.raw.Send(data, "the next")
		buf := make([]byte, 8)
		if _, err := io.ReadFull(s.tls, buf); err != nil || string(buf) != "the next" {
			t.Errorf("not idle: %q, %v", buf, err)
		}
	})
}
