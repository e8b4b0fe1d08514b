package handover

const (
	HeaderLen  = headerLen
	MaxPayload = maxPayload

	KindKeys    = byte(kindKeys)
	KindConn    = byte(kindConn)
	KindChannel = byte(kindChannel)
	KindTaken   = byte(kindTaken)
	KindRefused = byte(kindRefused)
)

// ErrTooLong is errTooLong.
var ErrTooLong = errTooLong

// AppendFrame appends a frame to b.
func AppendFrame(b []byte, k byte, seq uint32, payload []byte) []byte {
	f := frame{kind: kind(k), seq: seq, payload: payload}
	return f.append(b)
}

// ParseHeader is parseHeader.
func ParseHeader(b [HeaderLen]byte) (k byte, seq uint32, size int, err error) {
	f, size, err := parseHeader(b)
	return byte(f.kind), f.seq, size, err
}

// ConnPayload is connPayload.
func ConnPayload(key string, state []byte) ([]byte, error) { return connPayload(key, state) }

// ParseConn is parseConn.
func ParseConn(payload []byte) (key string, state []byte, err error) { return parseConn(payload) }
