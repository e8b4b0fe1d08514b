// Package listen has what a program, or an adapter for another protocol, can know of
// gozd's connections and listeners: gozd.Listen returns these listeners, and httpx, fcgix and
// tcpx serve on them.
//
// [FromConn] finds gozd's connection below any layers: its group, whether its generation
// drains, and how it is handed to the successor. [FromListener] finds the listener: an
// adapter asks it what will become of clients. Where an adapter reads by an
// [IdleReader], connections that are idle move to the successor by themselves.
//
// Most programs need none of this.
package listen
