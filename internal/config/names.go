package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// daemonSection is the name of the one section that is no group.
const daemonSection = "gozd"

// nameChars is what names of sections, keys and hosts are made of. All of it
// can be part of a file's name, and none of it has a meaning to a shell.
const nameChars = alnum + "_-."

const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// maxName keeps the name of a section short enough to be part of the names of
// sockets and variables.
const maxName = 64

func validName(s string) bool {
	return validKey(s) && len(s) <= maxName && strings.IndexByte(alnum, s[0]) >= 0
}

func badName(name string) string {
	return fmt.Sprintf("%q is not a name for a section: "+
		"it takes ASCII letters, digits, _, - and ., begins with a letter or digit, and has at most %d bytes", name, maxName)
}

func validKey(s string) bool {
	return s != "" && strings.Trim(s, nameChars) == ""
}

// badValue is the end of a sentence that begins with a key.
const badValue = "is not valid UTF-8, or holds a NUL byte"

func validValue(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, "\x00")
}
