package config

import (
	"io/fs"
	"runtime"
	"time"
)

var (
	supervises = []string{string(SuperviseAuto), string(SuperviseYes), string(SuperviseNo)}
	logFormats = []string{string(LogText), string(LogJSON)}
	yesNo      = []string{"yes", "no"}
)

// readDaemon checks section [gozd], which may be empty.
func readDaemon(s *section, opts Options) Daemon {
	d := Daemon{
		PIDFile:        s.path("pidfile"),
		Log:            s.path("log"),
		LogFormat:      readLogFormat(s),
		EnvFile:        s.path("env_file"),
		User:           s.text("user"),
		Group:          s.text("group"),
		Umask:          readUmask(s),
		UpgradeTimeout: s.duration("upgrade_timeout", defaultUpgradeTimeout, time.Nanosecond),
		Probation:      s.duration("probation", 0, 0),
		MaxFiles:       s.number("max_files", 63, 0, 1),
		MaxGenerations: int(s.number("max_generations", 31, defaultMaxGenerations, 2)),
		Supervise:      readSupervise(s),
		FDStore:        readYesNo(s, "fdstore"),
	}
	if d.FDStore && d.Supervise == SuperviseNo {
		s.fail("fdstore", s.text("fdstore"), "fdstore yes: with supervise no nobody speaks to systemd")
	}
	if d.PIDFile == "" {
		d.PIDFile, d.OwnDir = defaultPIDFile(opts, d.User)
	}
	s.checkControlPath(d.PIDFile)
	return d
}

// controlSuffix is the most that follows the PID file's path in that of a control socket: the
// number of a process has up to seven digits.
const controlSuffix = ".4194304.sock"

// checkControlPath reports a PID file beside which no control socket would fit.
func (s *section) checkControlPath(pidfile string) {
	limit := maxSocketPath(runtime.GOOS) - len(controlSuffix)
	if len(pidfile) > limit {
		s.fail("pidfile", pidfile, "pidfile %q is too long for the control sockets beside it: it can have %d bytes on %s, and has %d",
			pidfile, limit, runtime.GOOS, len(pidfile))
	}
}

func readLogFormat(s *section) LogFormat {
	if value, ok := s.choice("log_format", logFormats); ok {
		return LogFormat(value)
	}
	return LogText
}

func readUmask(s *section) fs.FileMode {
	if value, ok := s.get("umask"); ok {
		return readMode(s, "umask", value)
	}
	return defaultUmask
}

// readSupervise has a third value besides yes and no.
func readSupervise(s *section) Supervise {
	if value, ok := s.truth("supervise", supervises); ok {
		return Supervise(value)
	}
	return SuperviseAuto
}

// readYesNo is false without a value.
func readYesNo(s *section, key string) bool {
	value, _ := s.truth(key, yesNo)
	return value == "yes"
}

// truth is a choice that takes true and false for yes and no as well, since that is what many who
// write YAML expect of these, and all they can write in JSON.
func (s *section) truth(key string, values []string) (string, bool) {
	switch s.text(key) {
	case "true":
		return "yes", true
	case "false":
		return "no", true
	}
	return s.choice(key, values)
}
