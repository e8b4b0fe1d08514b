// Package supervise keeps one process in front of a daemon's generations: the
// supervisor, whose PID never changes, for whoever watches that process, be it
// systemd, a container runtime or a shell.
//
// The supervisor holds no socket of the daemon, and passes those on that systemd is to keep. It starts generation 1, passes
// signals to the generation that serves, collects orphans, speaks to systemd, and
// ends as the last generation does. After each upgrade it runs the new
// binary in its own place. All of it needs Linux.
//
// The generations hold one end of a socket pair, the channel, which goes from one
// to the next like the daemon's lock. On it they say what they do (see [Event]); the
// kernel says who speaks, and the channel's end says that the supervisor is gone.
package supervise
