package httpx

// Frames lets tests cut a stream into pieces of their own.
type Frames = frames

// FrameHeaderLen is frameHeaderLen.
const FrameHeaderLen = frameHeaderLen

// NewFrames returns a follower of a stream that begins with skip other bytes.
func NewFrames(skip int) *Frames { return &frames{skip: skip} }

// Follow is follow.
func (f *frames) Follow(b []byte, saw func(header [FrameHeaderLen]byte, payload []byte)) {
	f.follow(b, saw)
}

// AtBoundary is atBoundary.
func (f *frames) AtBoundary() bool { return f.atBoundary() }

// UntilBoundary is untilBoundary.
func (f *frames) UntilBoundary(b []byte) int { return f.untilBoundary(b) }
