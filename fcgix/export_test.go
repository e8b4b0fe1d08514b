package fcgix

// Records lets tests cut a stream into pieces of their own.
type Records = records

// Follow is follow.
func (r *records) Follow(b []byte, saw func(kind byte, id uint16)) { r.follow(b, saw) }

// AtBoundary is atBoundary.
func (r *records) AtBoundary() bool { return r.atBoundary() }
