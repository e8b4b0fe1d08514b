package process

import "os"

// Tail returns the last bytes of what is in a file from offset from on, at most limit.
func Tail(f *os.File, from, limit int64) string {
	info, err := f.Stat()
	if err != nil || info.Size() <= from {
		return ""
	}
	buf := make([]byte, min(info.Size()-from, limit))
	n, _ := f.ReadAt(buf, info.Size()-int64(len(buf))) // its end is an error, too
	return string(buf[:n])
}
