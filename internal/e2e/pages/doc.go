// Package pages runs what the README and the pages of docs tell a reader to type, and compares
// what they say is printed with what is. It has no code but tests.
package pages
