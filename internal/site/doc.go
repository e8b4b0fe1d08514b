// Package site makes a site of the README and the pages of docs, by Hugo. It has no code but a test; it is a module of its own,
// so that what Hugo requires is nobody else's business.
package site
