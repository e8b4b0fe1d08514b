package process

import "strconv"

// maxDescent bounds the way from a process to its ancestors: they change while it is gone.
const maxDescent = 1000

// Descends reports whether a process is another one's child, or its child's, and so on, by what the kernel says.
func Descends(pid, from int) bool {
	for range maxDescent {
		s, err := readStat(strconv.Itoa(pid))
		if err != nil || s.parent <= 0 {
			return false
		}
		if s.parent == from {
			return true
		}
		pid = s.parent
	}
	return false
}
