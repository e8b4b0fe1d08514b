package config

import (
	"fmt"
	"slices"
)

// The keys of the two kinds of sections. They are spelled once more where they
// are read; a key that only one of the two places knows fails the tests.
var (
	groupKeys = []string{
		"mode", "listen", "key", "cert", "client_ca", "http2", "move_tls",
		"socket_mode", "socket_owner", "drain_timeout", "stop_timeout", "spread",
	}
	daemonKeys = []string{
		"pidfile", "log", "log_format", "env_file", "user", "group", "umask", "max_files",
		"upgrade_timeout", "probation", "max_generations", "supervise", "fdstore",
	}
)

// mayBeEmpty has the keys for which an empty value says something: none. It
// lets a variable of the environment undo what the file says.
var mayBeEmpty = []string{"log", "env_file", "user", "group", "socket_owner"}

// lists has the keys whose value can be several, with a comma after each but the last; or a list where the format has such.
var lists = []string{"key", "cert"}

func keysOf(section string) []string {
	if section == daemonSection {
		return daemonKeys
	}
	return groupKeys
}

// unknownKey says that section has no such key, and which one is meant; or, if
// the key has only strayed, where it belongs.
func unknownKey(section, key string) (msg, suggestion string) {
	msg = fmt.Sprintf("unknown key %q", key)
	switch {
	case slices.Contains(groupKeys, key):
		return msg + ": it belongs in a group", ""
	case slices.Contains(daemonKeys, key):
		return msg + ": it belongs in [" + daemonSection + "]", ""
	}
	return msg, suggest(key, keysOf(section))
}
