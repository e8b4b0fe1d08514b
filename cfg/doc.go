// Package cfg has what is wrong with a configuration, as errors that a program
// can take apart, and below it the formats that a program can choose. What
// follows is how a configuration is written; docs/configuration.md has all keys.
//
// # The native format
//
// A file holds sections. A section holds one key and its value a line, with
// white space or an equals sign between them:
//
//	# who we are
//	[gozd]
//	pidfile  /run/app/app.pid
//
//	[web]
//	mode     https
//	listen   443              ; on every address
//	key      = /etc/app/key.pem
//	cert     = /etc/app/cert.pem
//
// A # or a ; starts a comment at the beginning of a line, and after white
// space within one. A value in double quotes is read as a Go string, so that
// it can hold either of them, or white space at its ends. Section names are
// made of ASCII letters, digits, underscores, hyphens and full stops, begin
// with a letter or a digit, and have at most 64 bytes; case matters. Keys are
// made of the same characters; all that are known are lower case.
//
// Files that end in .yaml, .yml, .toml or .json hold the same tree in that
// format. Every other file is read as native. A program that reads such files
// imports the package of the format:
//
//	import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"
//
// # The environment
//
// GOZD_<GROUP>_<KEY> overrides one value, or adds it. Group and key are
// compared without regard to case, and what is neither letter nor digit in the
// name of a group is an underscore in the variable: GOZD_MY_APP_LISTEN is the
// listen of [my-app]. GOZD_GOZD_<KEY> is a key of section [gozd]. A variable
// that starts with the name of no group in the file is ignored; one that does, but whose key is unknown, is an error. Where a
// variable can be read in two ways, the longer name of a group wins.
//
// # Relative paths
//
// A relative path is relative to the directory of the configuration file, not
// to the working directory: "app -s stop -c /etc/app/app.conf" has to find the
// PID file that "cd /etc/app && app -c app.conf" has written, and a new
// generation may have been started from elsewhere.
//
// # Errors
//
// Reading does not end at the first mistake. All of them are returned at once,
// as [Errors].
package cfg
