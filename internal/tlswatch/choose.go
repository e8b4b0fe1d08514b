package tlswatch

import (
	"crypto/tls"
	"strings"
)

// choose is tls.Config.getCertificate (common.go:1317 of Go 1.26), which nobody can ask. Without any certificate it returns nil, which
// crypto/tls takes for what it is. A test compares the two.
func choose(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if config.GetCertificate != nil && (len(config.Certificates) == 0 || hello.ServerName != "") {
		cert, err := config.GetCertificate(hello)
		if cert != nil || err != nil {
			return cert, err
		}
	}
	switch len(config.Certificates) {
	case 0:
		return nil, nil
	case 1:
		return &config.Certificates[0], nil
	}
	if cert := named(config, hello.ServerName); cert != nil {
		return cert, nil
	}
	for i := range config.Certificates {
		if hello.SupportsCertificate(&config.Certificates[i]) == nil {
			return &config.Certificates[i], nil
		}
	}
	return &config.Certificates[0], nil
}

// named looks into NameToCertificate, which is deprecated, and which crypto/tls still asks first.
func named(config *tls.Config, name string) *tls.Certificate {
	names := config.NameToCertificate //nolint:staticcheck // the program may have set it
	if names == nil {
		return nil
	}
	name = strings.ToLower(name)
	if cert, ok := names[name]; ok {
		return cert
	}
	if labels := strings.Split(name, "."); name != "" {
		labels[0] = "*"
		return names[strings.Join(labels, ".")]
	}
	return nil
}
