package engine

// step is one of several that a generation takes in a fixed order.
type step[T any] struct {
	name  string
	stage string // at which an upgrade has failed if it fails; "" where it cannot
	why   string // it is where it is
	do    func(T) error
	undo  func(*Engine) // after a step that follows has failed; nil for nothing
}

// run does steps until one fails, and returns its stage then. done is told how to undo each that has been done.
func run[T any](on T, steps []step[T], done func(undo func(*Engine))) (stage string, err error) {
	for _, s := range steps {
		if err := s.do(on); err != nil {
			return s.stage, err
		}
		if s.undo != nil {
			done(s.undo)
		}
	}
	return "", nil
}
