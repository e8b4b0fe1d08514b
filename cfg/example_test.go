package cfg_test

import (
	"errors"
	"fmt"
	"log"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

func ExampleParse() {
	const conf = `
[gozd]
pidfile  /run/app/app.pid

[web]
mode     https
listen   443
key      tls/key.pem        ; relative to the directory of this file
cert     tls/cert.pem

[php]
mode           fcgi
listen         unix:php.sock
socket_mode    0600
drain_timeout  1m
`
	c, err := cfg.Parse("/etc/app/app.conf", []byte(conf), cfg.Options{
		Environ: []string{"GOZD_WEB_LISTEN=127.0.0.1:8443"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, g := range c.Groups {
		fmt.Println(g.Name, g.Mode, g.Listen, g.Key, g.DrainTimeout)
	}
	// Output:
	// web https 127.0.0.1:8443 /etc/app/tls/key.pem 15m0s
	// php fcgi /etc/app/php.sock  1m0s
}

// Every mistake is reported at once, and can be taken apart.
func ExampleErrors() {
	const conf = `
[web]
mode    htpp
listne  8080
`
	_, err := cfg.Parse("app.conf", []byte(conf), cfg.Options{})
	fmt.Println(err)
	var all cfg.Errors
	if errors.As(err, &all) {
		fmt.Println(len(all), "errors, the first in line", all[0].Line)
	}
	// Output:
	// app.conf:3: [web]: unknown mode "htpp" (did you mean "http"?)
	// app.conf:4: [web]: unknown key "listne" (did you mean "listen"?)
	// 2 errors, the first in line 3
}

func ExampleLoad() {
	c, err := cfg.Load("/etc/app/app.yaml", cfg.Options{})
	if err != nil {
		log.Fatal(err) // every mistake in the file, one a line
	}
	if web, ok := c.Group("web"); ok {
		fmt.Println("web listens on", web.Listen)
	}
}

func ExampleParseAddress() {
	for _, s := range []string{"10.0.0.1", "8443", "[::1]:0", "unix:run/app.sock"} {
		a, err := cfg.ParseAddress(s, cfg.HTTPS)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(a.Network, a)
	}
	// Output:
	// tcp 10.0.0.1:443
	// tcp :8443
	// tcp [::1]:0
	// unix unix:run/app.sock
}
