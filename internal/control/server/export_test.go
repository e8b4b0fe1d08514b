package server

// MayControl is peer.mayControl.
func MayControl(uid, daemon int, err error) error {
	return (&peer{uid: uid, err: err}).mayControl(daemon)
}
