package client

import "net/http"

// Answered returns a Client whose requests are answered by answers.
func Answered(pidfile string, pid int, answers http.RoundTripper) *Client {
	c := newClient(pidfile, pid, nil)
	c.http.Transport = answers
	return c
}
