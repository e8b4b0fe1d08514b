package tlsrec

// UpdateAfter is when new keys are made.
const UpdateAfter = updateAfter

// State is the state for a move that is refused at once.
func (c *Conn) State() (*State, error) {
	s, err := c.Freeze()
	if err == nil {
		c.Thaw()
	}
	return s, err
}

// HasSecrets reports whether c has any, once nobody uses it.
func (c *Conn) HasSecrets() bool {
	for _, h := range []*Half{c.in.half, c.out.half} {
		if h != nil && h.key != nil && h.key.secret != [maxSecret]byte{} {
			return true
		}
	}
	return false
}
