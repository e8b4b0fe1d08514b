package app

import (
	"crypto/tls"
	"flag"
)

// Options are what compare tells a program on its command line.
type Options struct {
	HTTP  string // address of the port without TLS
	HTTPS string // address of the port with TLS, which speaks HTTP/1.1 and HTTP/2
	Cert  string // file with the certificate
	Key   string // file with its key
}

// Flags returns the options of the command line.
func Flags() Options {
	var o Options
	flag.StringVar(&o.HTTP, "http", "127.0.0.1:0", "`address` without TLS")
	flag.StringVar(&o.HTTPS, "https", "127.0.0.1:0", "`address` with TLS")
	flag.StringVar(&o.Cert, "cert", "", "`file` with the certificate")
	flag.StringVar(&o.Key, "key", "", "`file` with its key")
	flag.Parse()
	return o
}

// TLS returns the configuration for listeners that speak TLS themselves.
func (o Options) TLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
	}, nil
}
