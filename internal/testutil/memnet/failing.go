package memnet

import "net"

// Failing is a Listener whose Accept first returns errors, for want of descriptors for
// example.
type Failing struct {
	*Listener

	Errs []error // what is left of them
}

// Accept returns the next error, and connections when there is none left.
func (f *Failing) Accept() (net.Conn, error) {
	if len(f.Errs) > 0 {
		err := f.Errs[0]
		f.Errs = f.Errs[1:]
		return nil, err
	}
	return f.Listener.Accept()
}
