//go:build !unix

package process

import "os"

// maxFiles is 0: nothing has to be kept in reserve where there is no such limit.
func maxFiles() int { return 0 }

// highestAreFree leaves the answer to duplicates.
func highestAreFree(int) bool { return false }

// duplicates makes none, and says that it has: there is no limit to be met.
func duplicates(_ *os.File, n int) int { return n }
