package supervise

import (
	"log/slog"
	"os"
)

// Options say what a supervisor is to do.
type Options struct {
	Binary string   // absolute path of the program
	Args   []string // its arguments, without its name
	Dir    string   // where generation 1 is started
	Log    *slog.Logger

	// User is whom the generations become; nil for nobody else than who starts the daemon.
	User *User

	// Env are variables for generation 1, added to those of this process.
	Env []string

	// Files are given to generation 1, from descriptor 3 on. They stay the caller's.
	Files []*os.File

	// Started is called when generation 1 has been started, which then has what it is to have of this process.
	Started func()

	// Keeps says that the configuration wants systemd to keep sockets: without that, or without systemd, no descriptor is taken from a
	// generation. The service's user could have systemd close one that takes long to close.
	Keeps bool

	// Stored are the sockets that systemd has kept for the daemon, and has passed to this process, by their names:
	// their inodes, 0 for one that is none.
	Stored []Stored
}

// User is that of the service.
type User struct{ UID, GID int }
