package httpx

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/h2move"
)

// pingData marks our PINGs among those of the server.
var pingData = [8]byte{'g', 'o', 'z', 'd', ' ', 'b', 'y', 'e'}

// goAwayPing is a PING whose answer is looked for.
var goAwayPing = append([]byte{0, 0, 8, byte(http2.FramePing), 0, 0, 0, 0, 0}, pingData[:]...)

// goAwayAndPing are the two frames that send a client away.
var goAwayAndPing = func() []byte {
	const maxStreamID = math.MaxInt32
	b := []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, maxStreamID)
	b = binary.BigEndian.AppendUint32(b, uint32(http2.ErrCodeNo))
	return append(b, goAwayPing...)
}()

func isPingAck(h *h2move.Header, payload []byte) bool {
	return h.Type() == http2.FramePing && h.Has(http2.FlagPingAck) && string(payload) == string(pingData[:])
}

// awayState is how far the client has been sent away.
type awayState int

const (
	staying   awayState = iota
	announced           // GOAWAY and PING are written, or wait to be
	known               // the client has answered the PING
	asked               // the second PING is written, or waits to be
)
