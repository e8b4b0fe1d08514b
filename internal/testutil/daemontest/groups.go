package daemontest

// WebAndLine are groups that every binary of this package can serve, good or bad.
const WebAndLine = "[web]\nmode http\nlisten 127.0.0.1:0\n[line]\nmode tcp\nlisten 127.0.0.1:0\n"

// OnlyWeb is a group that speaks HTTP.
const OnlyWeb = "[web]\nmode http\nlisten 127.0.0.1:0\n"

// Asking is a group that every daemon of these tests has, to ask how it is.
const Asking = "\n[plain]\nmode http\nlisten 127.0.0.1:0\n"

// SecureGroup is a group that speaks HTTP over TLS.
const SecureGroup = "[secure]\nmode https\nlisten 127.0.0.1:0\nkey key.pem\ncert cert.pem\n"
