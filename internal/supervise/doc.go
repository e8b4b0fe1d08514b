// Package supervise keeps one process in front of a daemon's generations: the
// supervisor, whose PID never changes, for whoever watches that process, be it
// systemd, a container runtime or a shell.
//
// The supervisor holds no socket of the daemon, and passes those on that systemd is to keep. It
// starts generation 1, passes signals to the generation that serves, collects orphans, speaks to
// systemd, and ends as the last generation does. It runs the binary that it was started with until
// it ends. All of it needs Linux.
//
// The generations hold one end of a socket pair, the channel, which goes from one
// to the next like the daemon's lock. On it they report what they do (see [Event]); the
// kernel says which process speaks, and the channel's end says that the supervisor is gone.
//
// # Who is trusted
//
// With "user" the supervisor is root and the generations are not. Every process of that user can
// get hold of the channel and of the notify socket, from a generation's descriptors, and can speak
// as a generation, by tracing it. So nothing that is said there is believed beyond this:
//
//   - The supervisor executes nothing but generation 1, before anybody else can speak.
//   - It takes a process for a generation only if that descends from the one that serves, during an
//     upgrade that this one has announced, and has the same user in all its IDs: see admit. So it
//     watches and signals only processes that this user could signal himself, and looks again before
//     each signal. Of an announced upgrade the end of the generation that serves changes nothing.
//   - Names and texts go to systemd only if they cannot be taken for another line: see text.go.
//   - It never waits for what a sender does. Another goroutine reads each socket and closes the
//     descriptors that come along, which can take as long as their sender wants; it takes none but for systemd to keep.
//     Another one writes its log.
//   - The notify socket is a file that only the service's user can write to.
//
// What remains possible for that user is to harm his own service: to end its generations or have
// others take their place, to lie about them in "systemctl status", to have systemd keep other
// listening sockets for the next start of the service, and to keep the supervisor busy.
package supervise
