package config

import (
	"io/fs"
	"time"
)

// Mode says which protocol a group speaks.
type Mode string

// The modes. There is no default: every group names its own.
const (
	TCP   Mode = "tcp"   // a handler of the program's own, on the bare connection
	HTTP  Mode = "http"  // HTTP/1.1 in plaintext
	HTTPS Mode = "https" // HTTP/1.1 and HTTP/2 over TLS
	FCGI  Mode = "fcgi"  // FastCGI
	UDP   Mode = "udp"   // datagrams, which the program reads itself; on a path they are those of a Unix socket
)

// Supervise says whether a process stays in front of the generations.
type Supervise string

// The values of supervise in section [gozd].
const (
	SuperviseAuto Supervise = "auto" // where somebody watches the first process
	SuperviseYes  Supervise = "yes"  // from the start
	SuperviseNo   Supervise = "no"   // never
)

// LogFormat is how the lines of gozd's own log look.
type LogFormat string

// The values of log_format in section [gozd].
const (
	LogText LogFormat = "text" // key=value, with a mark before it
	LogJSON LogFormat = "json" // one object a line
)

// Defaults of what a configuration leaves out.
const (
	defaultSocketMode     fs.FileMode = 0o660
	defaultUmask          fs.FileMode = 0o027
	defaultDrainTimeout               = 15 * time.Minute
	defaultStopTimeout                = 10 * time.Second
	defaultUpgradeTimeout             = time.Minute
	defaultMaxGenerations             = 16
)

// Group is one section of the configuration that listens somewhere.
type Group struct {
	// Name is the name of the section, as it is spelled there.
	Name string

	// Mode is one of the five modes.
	Mode Mode

	// Listen is where the group listens. The path of a Unix socket is absolute.
	Listen Address

	// Pairs are the key pairs of mode https, in the file's order. There is none in other
	// modes, and there may be none with Options.OwnTLS.
	Pairs []KeyPair

	// ClientCA is the absolute path of a PEM file with the certificates of authorities: clients of mode https
	// have to show a certificate of one of them. If empty, clients are asked for none.
	ClientCA string

	// HTTP2 says that clients of mode https are offered HTTP/2. It is the default there, and false in
	// other modes.
	HTTP2 bool

	// MoveTLS says that idle connections of mode https, with their keys, move to the next generation. It is false
	// by default, and in other modes.
	MoveTLS bool

	// SocketMode has the permission bits of a Unix socket. It has its default
	// of 0660, and no meaning, where Listen is no path.
	SocketMode fs.FileMode

	// SocketOwner is "user" or "user:group", each a name or a number, for a
	// Unix socket. If empty, the socket belongs to the daemon's user.
	SocketOwner string

	// DrainTimeout bounds how long connections may go on after an upgrade or
	// a quit. If zero, they are closed at once. It is never negative.
	DrainTimeout time.Duration

	// StopTimeout is the same for a stop.
	StopTimeout time.Duration

	// Spread is the time over which clients that have to reconnect are sent
	// away after an upgrade. If zero, all are at once. It is never negative,
	// never more than DrainTimeout, and only of HTTP and HTTPS.
	Spread time.Duration

	// Line is the line of the file on which the section begins, from 1. It is
	// 0 where that is unknown: in every format but the native one.
	Line int
}

// KeyPair has the absolute paths of two PEM files. Whether they exist, and belong
// to each other, is not checked here.
type KeyPair struct{ Key, Cert string }

// Files are all files that the group's TLS is read from.
func (g *Group) Files() []string {
	var files []string
	for _, p := range g.Pairs {
		files = append(files, p.Cert, p.Key)
	}
	if g.ClientCA != "" {
		files = append(files, g.ClientCA)
	}
	return files
}

// Daemon is what section [gozd] says. Everything in it is optional.
type Daemon struct {
	// PIDFile is the absolute path of the PID file. By default it is named
	// after the program and lies in the runtime directory: with a User
	// /run/<program>, whoever asks; without one /run for the superuser, else
	// $XDG_RUNTIME_DIR, else a directory <program>-<uid> in the temporary
	// directory. Outside Linux /var/run stands for /run. As the default without a
	// User depends on who asks, and with which environment, a daemon that is
	// to be found by others should set it.
	PIDFile string

	// OwnDir says that PIDFile lies in /run/<program> by default: a directory of
	// the daemon's own, that has to belong to User, and that nobody has created yet.
	OwnDir bool

	// Log is the absolute path of the file for the program's output. If empty,
	// there is none.
	Log string

	// LogFormat is one of the two constants.
	LogFormat LogFormat

	// EnvFile is the absolute path of a file with variables for the program's
	// environment. If empty, there is none. Whether it exists is not checked here.
	EnvFile string

	// User and Group are who the daemon becomes after its sockets are bound,
	// each a name or a number. If empty, it stays who it is.
	User, Group string

	// Umask has the permissions that files and directories which the process
	// creates do not get.
	Umask fs.FileMode

	// MaxFiles is the limit on open files to set. If zero, the limit is left
	// alone.
	MaxFiles uint64

	// UpgradeTimeout bounds how long a new generation may take to become
	// ready. It is always positive.
	UpgradeTimeout time.Duration

	// Probation is how long a new generation serves beside the old one before
	// the upgrade is final. If zero, there is no probation. It is never
	// negative.
	Probation time.Duration

	// MaxGenerations is how many processes may serve and drain together. It is
	// at least 2, since an upgrade needs that many.
	MaxGenerations int

	// Supervise is one of the three constants.
	Supervise Supervise

	// FDStore says that systemd is to keep the listening sockets, so that clients wait while the daemon is started
	// again. If false, they end with the daemon. It is never true where Supervise is SuperviseNo.
	FDStore bool
}

// Config is a whole configuration, complete and free of contradictions. It is
// not safe for concurrent use while somebody changes it.
type Config struct {
	// File is the absolute path of the file it was read from. Symbolic links
	// in it are left alone.
	File string

	// Source is that file as it was read: its owner may have written it. It is nil for a configuration that was in memory.
	Source fs.FileInfo

	// Daemon is section [gozd]; its defaults, where there is no such section.
	Daemon Daemon

	// Groups has every other section: in the order of a native file, and by
	// name for the other formats, which have no order. There is at least one.
	Groups []Group
}

// Group returns the group of that name, spelled exactly so, and whether there
// is one. The pointer is into c.Groups.
func (c *Config) Group(name string) (*Group, bool) {
	for i := range c.Groups {
		if c.Groups[i].Name == name {
			return &c.Groups[i], true
		}
	}
	return nil, false
}

// Options is what a configuration depends on besides its file. The zero value
// is what a program wants for itself.
type Options struct {
	// Program names the default PID file; of a path, only the last element
	// counts. If empty, os.Args[0] is used.
	Program string

	// Sockets are listening sockets that the process is started with, by the names of groups. Such a
	// group needs no listen, and may have only one that says the same; a socket for which there is
	// no group is an error.
	Sockets map[string]Address

	// AnySocket says that Sockets are not known, and others may be: no group needs listen. That
	// of a group without one is left zero.
	AnySocket bool

	// OwnTLS says that the program may have a tls.Config of its own for a group: mode https needs no key pair.
	OwnTLS bool

	// Environ holds the environment in the form "key=value". If nil,
	// os.Environ() is used. An empty slice is an empty environment.
	Environ []string
}
