package process

// ParseStat returns all of a stat.
func ParseStat(data []byte) (state string, parent int, start uint64, err error) {
	s, err := parseStat(data)
	return s.state, s.parent, s.start, err
}

// ParseStatus is parseStatus.
var ParseStatus = parseStatus

// OpenControlFile opens a lock or state file as any command does, and closes it.
func OpenControlFile(path string) error {
	f, _, err := openControlFile(path)
	if err == nil {
		_ = f.Close()
	}
	return err
}

// CheckThreads is checkThreadsOnce.
func (id *Identity) CheckThreads() error { return id.checkThreadsOnce() }

// StartForUserBy is StartForUser by another way to a new keyring.
var StartForUserBy = startForUser
