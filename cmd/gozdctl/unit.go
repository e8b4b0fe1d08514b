package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

const longUnit = `Prints a systemd unit for the program with this configuration, and says on standard error what
has to be done besides. It reads no more than the configuration, without this shell's GOZD_ variables.

Without ARGUMENTS the program is started with -f -c CONFIG; ARGUMENTS stand for both. All paths are
absolute. PID file and log have directories of the unit's own where they lie in /run/NAME and
/var/log/NAME. The timeouts are those of the configuration as it is now: print the unit anew after
they have grown.`

func unitCommand(a *app) *cobra.Command {
	var o unitOptions
	cmd := &cobra.Command{
		Use:     "unit [--hardened | --user] -c CONFIG -- PROGRAM [ARGUMENTS]",
		Short:   "print a systemd unit",
		Long:    longUnit,
		Example: "  gozdctl unit -c /etc/app/app.conf -- /usr/local/bin/app > /etc/systemd/system/app.service",
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 0 || len(args) == 0 || a.config == "" {
				return usageError("it takes -c CONFIG, two dashes and then the program: gozdctl unit -c CONFIG -- PROGRAM ARGUMENTS")
			}
			if o.hardened && o.user {
				return usageError("--hardened does not go with --user: a user's systemd cannot do most of it")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if o.gozdctl, err = os.Executable(); err != nil {
				return fmt.Errorf("where gozdctl itself is: %w", err)
			}
			o.home, o.program, o.args = os.Getenv("HOME"), args[0], args[1:]
			return a.unit(&o)
		},
		DisableFlagsInUseLine: true,
	}
	cmd.Flags().StringVarP(&a.config, "config", "c", "", "the daemon's configuration `file`")
	cmd.Flags().BoolVar(&o.hardened, "hardened", false, "with a dynamic user and as few rights as a daemon can do with")
	cmd.Flags().BoolVar(&o.user, "user", false, "for systemctl --user")
	_ = cmd.RegisterFlagCompletionFunc("config", completeFiles("conf", "yaml", "yml", "toml", "json"))
	return cmd
}

// unitOptions is what a unit depends on besides the configuration.
type unitOptions struct {
	hardened, user bool
	program        string
	args           []string
	gozdctl, home  string // where they are
}

func (a *app) unit(o *unitOptions) error {
	for _, path := range []string{o.program, a.config} {
		if !filepath.IsAbs(path) {
			return usageError("%s: systemd has no working directory to begin at: it takes an absolute path", path)
		}
	}
	conf, err := config.Load(a.config, config.Options{Program: nobody, OwnTLS: true, AnySocket: true, Environ: []string{}})
	if err != nil {
		return err
	}
	text, notes, err := unitText(conf, o)
	if err != nil {
		return fmt.Errorf("%s: %w", conf.File, err)
	}
	for _, note := range notes {
		a.warn("unit: " + note)
	}
	a.stdout.printf("%s", text)
	return nil
}

//go:embed unit.service.tmpl
var unitTemplate string

// unitText is the unit, and what its author does not know, or has to do besides.
func unitText(conf *config.Config, o *unitOptions) (text string, notes []string, err error) {
	d, name := &conf.Daemon, filepath.Base(o.program)
	if isDefault(conf) { // which depends on who asks, and so on who starts the daemon
		d.PIDFile = map[bool]string{false: "/run/", true: "/run/" + name + "/"}[d.OwnDir] + name + ".pid"
		if o.user {
			d.PIDFile = "%t/" + name + ".pid"
		}
	}
	if err := unitProblems(conf, o); err != nil {
		return "", nil, err
	}
	v := unitValues(conf, o)
	var b strings.Builder
	if err := template.Must(template.New("unit").Parse(unitTemplate)).Execute(&b, v); err != nil {
		return "", nil, err
	}
	return b.String(), unitNotes(conf, o, v), nil
}

// unitProblems is why there can be no such unit.
func unitProblems(conf *config.Config, o *unitOptions) error {
	d := &conf.Daemon
	var errs []error
	if name := filepath.Base(o.program); strings.Trim(name, unitChars) != "" {
		return fmt.Errorf("%q cannot be the name of a unit", name)
	}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if d.Supervise == config.SuperviseNo {
		fail("supervise no: the first upgrade would end the unit; leave it out")
	}
	if (o.hardened || o.user) && d.User+d.Group != "" {
		fail("user and group in [gozd]: this unit does not start as root, so the daemon cannot become anybody else; leave them out")
	}
	if o.hardened {
		run := below("/run", d.PIDFile)
		if run == "" {
			fail("pidfile %s: a hardened unit can write into a directory of its own only: set pidfile /run/NAME/NAME.pid", d.PIDFile)
		}
		if d.Log != "" && below("/var/log", d.Log) == "" {
			fail("log %s: a hardened unit can write into a directory of its own only: set log /var/log/NAME/NAME.log", d.Log)
		}
		for i := range conf.Groups {
			g := &conf.Groups[i]
			if path := g.Listen.Address; strings.HasPrefix(path, "/") && (run == "" || below("/run", path) != run) {
				fail("[%s]: listen %s: a hardened unit can make a socket in the directory of its PID file only", g.Name, path)
			}
		}
	}
	return errors.Join(errs...)
}

// unitNotes is what the unit does not say.
func unitNotes(conf *config.Config, o *unitOptions, v *unitFields) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	for i, g := range socketGroups(conf) {
		note("[%s] has no listen: only %s can say where it listens, by ListenStream=, with FileDescriptorName=%s and Service=NAME.service", g, strings.Fields(v.Sockets)[i], g)
	}
	if len(o.args) > 0 && (configOf(o.args) != conf.File || !slices.Contains(o.args, "-f")) {
		note("the program is started with the arguments given: they have to keep it in the foreground, as -f does, and to name %s", conf.File)
	}
	if o.hardened && (strings.HasPrefix(o.gozdctl, "/root/") || strings.HasPrefix(o.gozdctl, "/home/")) {
		note("ProtectHome=yes hides %s, which ExecReload= starts: install gozdctl in /usr/local/bin", o.gozdctl)
	}
	if o.hardened && (conf.Daemon.EnvFile != "" || slices.ContainsFunc(conf.Groups, func(g config.Group) bool { return len(g.Files()) > 0 })) {
		note("key, cert and env_file must be readable for a user that exists only while the unit runs, and not lie in /home")
	}
	return notes
}

// unitFields are those of the template.
type unitFields struct {
	Name, Start, Gozdctl, PIDFile string
	unitTimes
	Becomes                 string // the user in [gozd]
	RuntimeDirectory        string
	LogsDirectory           string
	Sockets                 string
	FDStore, Hardened, User bool
}

// unitTimes are those of the configuration, and what follows from them.
type unitTimes struct {
	Upgrade, Stop, Drain      string
	Probation                 string // empty for none
	TimeoutStart, TimeoutStop string
}

func timesOf(conf *config.Config) unitTimes {
	const moment = 20 * time.Second
	d := &conf.Daemon
	var stop, drain time.Duration
	for i := range conf.Groups {
		stop, drain = max(stop, conf.Groups[i].StopTimeout), max(drain, conf.Groups[i].DrainTimeout)
	}
	t := unitTimes{
		Upgrade: span(d.UpgradeTimeout), Stop: span(stop), Drain: span(drain),
		TimeoutStart: inSeconds(d.UpgradeTimeout + d.Probation + stop + moment), TimeoutStop: inSeconds(stop + moment),
	}
	if d.Probation > 0 {
		t.Probation = span(d.Probation)
	}
	return t
}

func unitValues(conf *config.Config, o *unitOptions) *unitFields {
	d := &conf.Daemon
	inHome := func(p string) string {
		if o.user && strings.HasPrefix(p, o.home+"/") && filepath.IsAbs(o.home) {
			p = "%h" + p[len(o.home):]
		}
		return p
	}
	path := func(p string) string { return inHome(quote(p, "$", "$$")) }
	name := filepath.Base(o.program)
	v := &unitFields{
		// The first word of a command has no variables.
		Name: name, Start: inHome(quote(o.program)), Gozdctl: inHome(quote(o.gozdctl)), PIDFile: path(d.PIDFile), Becomes: printable.Line(d.User),
		FDStore: d.FDStore, Hardened: o.hardened, User: o.user, unitTimes: timesOf(conf),
	}
	if strings.HasPrefix(d.PIDFile, "%t/") {
		v.PIDFile = "%t" + path(d.PIDFile[2:])
	}
	args := o.args
	if len(args) == 0 {
		args = []string{"-f", "-c", conf.File}
	}
	for _, arg := range args {
		v.Start += " " + cmp.Or(path(arg), `""`)
	}
	if d.User == "" && !o.user {
		v.RuntimeDirectory, v.LogsDirectory = quote(below("/run", d.PIDFile)), quote(below("/var/log", d.Log))
	}
	var sockets []string
	groups := socketGroups(conf)
	for _, g := range groups {
		if len(groups) == 1 {
			sockets = append(sockets, name+".socket")
			break
		}
		sockets = append(sockets, name+"-"+g+".socket")
	}
	v.Sockets = strings.Join(sockets, " ")
	return v
}

func inSeconds(d time.Duration) string { return strconv.Itoa(int((d + time.Second - 1) / time.Second)) }

// socketGroups are those that take their socket from systemd.
func socketGroups(conf *config.Config) (names []string) {
	for i := range conf.Groups {
		if conf.Groups[i].Listen == (config.Address{}) {
			names = append(names, conf.Groups[i].Name)
		}
	}
	return names
}

// below is the directory of a file, relative to a base that it lies below; empty if it does not.
func below(base, path string) string {
	dir, _ := strings.CutPrefix(filepath.Dir(path), base+"/")
	if dir == filepath.Dir(path) || strings.Contains(dir, ":") { // systemd makes a link of what follows a colon
		return ""
	}
	return dir
}

// unitChars are what names of units are made of.
const unitChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:"

// quote makes a word of a unit file, in which a value of systemd's has no meaning of its own.
func quote(s string, more ...string) string {
	if strings.Trim(s, unitChars+"/@+=,%$") != "" {
		s = strconv.Quote(s)
	}
	return strings.NewReplacer(append(more, "%", "%%")...).Replace(s)
}
