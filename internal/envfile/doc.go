// Package envfile reads files of environment variables and puts them into this
// process's environment.
//
// A file holds one NAME=value a line; "export " may stand before it. A # or a ;
// makes a comment of a line that begins with it. White space around name and value
// does not count. A value may be quoted, as a whole or in parts: single quotes keep
// everything as it is, and double quotes know the escapes of JSON. Outside of quotes a # behind
// white space begins a comment, and a backslash is one. Nothing is expanded, a value
// ends with its line, and a tab within one is written "\t".
//
// The lines themselves are read by github.com/hashicorp/go-envparse: it is strict
// and does nothing but parse. github.com/joho/godotenv, which is better known, expands
// variables, takes lines of YAML too, and does not say in which line an error is.
package envfile
