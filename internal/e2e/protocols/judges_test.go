package protocols

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// judge is a program with a TLS, and an HTTP/2, that others have written. It has one connection for all that it asks.
type judge struct {
	in     io.Writer
	out    *bufio.Reader
	end    func() // kills it
	said   string
	failed *lockedbuf.Buffer
	post   func(body string) string // is what it reads
	answer *regexp.Regexp           // finds the generation in what it says
	rekey  func() error             // has it send a KeyUpdate; nil where it cannot
}

// judgeLimit is how long a judge may take to answer, at first with its start. Java compiles its program then.
const judgeLimit = 2 * time.Minute

func startJudge(t *testing.T, name string, args ...string) *judge {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, name, args...)
	j := &judge{
		end: cancel, failed: new(lockedbuf.Buffer),
		post: func(body string) string { return body + "\n" }, answer: regexp.MustCompile(`^(\d+)\n`),
	}
	cmd.Stderr = j.failed
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait()
	})
	j.in, j.out = in, bufio.NewReader(out)
	return j
}

// byHand is for a judge that only has TLS.
func (j *judge) byHand() *judge {
	j.post = func(body string) string {
		body += "\n" // some read lines
		return fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	j.answer = regexp.MustCompile(`^X-Gozd-Generation: (\d+)\r\n`)
	return j
}

func startJava(t *testing.T, host, port, version string) *judge {
	t.Helper()
	return startJudge(t, require.Tool(t, "java", "package default-jdk-headless"), "-XX:TieredStopAtLevel=1", "testdata/Judge.java", "https://"+net.JoinHostPort(host, port), version)
}

// startOpenSSL returns one that takes a line with nothing but a K for what has it update its keys, and the server's.
func startOpenSSL(t *testing.T, host, port string) *judge {
	t.Helper()
	j := startJudge(t, require.Tool(t, "openssl", "package openssl"), "s_client", "-connect", net.JoinHostPort(host, port), "-tls1_3").byHand()
	j.rekey = func() error {
		before := strings.Count(j.failed.String(), "KEYUPDATE\n")
		if _, err := io.WriteString(j.in, "K\n"); err != nil {
			return err
		}
		for deadline := time.Now().Add(judgeLimit); strings.Count(j.failed.String(), "KEYUPDATE\n") == before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("no KeyUpdate: %s", j.failed.String())
			}
		}
		return nil
	}
	return j
}

func startGnuTLS(t *testing.T, host, port string) *judge {
	t.Helper()
	j := startJudge(t, require.Tool(t, "gnutls-cli", "package gnutls-bin"), "--insecure", "--inline-commands", "--port", port, host).byHand()
	j.rekey = func() error {
		if _, err := io.WriteString(j.in, "^rekey^\n"); err != nil {
			return err
		}
		_, err := j.await(func(line string) bool { return strings.Contains(line, "Rekey was completed") })
		return err
	}
	return j
}

// ask returns the generation that has answered. Before that the judge updates its keys, if it is to and can.
func (j *judge) ask(rekey bool, body string) (generation string, err error) {
	if rekey && j.rekey != nil {
		if err := j.rekey(); err != nil {
			return "", err
		}
	}
	if _, err := io.WriteString(j.in, j.post(body)); err != nil {
		return "", fmt.Errorf("%w: %s", err, j.failed.String())
	}
	line, err := j.await(j.answer.MatchString)
	if err != nil {
		return "", err
	}
	return j.answer.FindStringSubmatch(line)[1], nil
}

// await reads lines up to one.
func (j *judge) await(is func(line string) bool) (string, error) {
	defer time.AfterFunc(judgeLimit, j.end).Stop()
	j.said = ""
	for {
		line, err := j.out.ReadString('\n')
		j.said += line
		if err != nil || strings.HasPrefix(line, "error") {
			return "", fmt.Errorf("%s %w: %s", line, err, j.failed.String()+j.said)
		}
		if is(line) {
			return line, nil
		}
	}
}

// judges are the stacks beside Go's, curl's and h2load's, which have tests of their own.
var judges = []struct {
	name  string
	start func(t *testing.T, host, port string) *judge
}{
	{"Node", func(t *testing.T, host, port string) *judge {
		t.Helper()
		return startJudge(t, require.Tool(t, "node", "package nodejs"), "testdata/judge.js", "https://"+net.JoinHostPort(host, port))
	}},
	{"Python", func(t *testing.T, host, port string) *judge {
		t.Helper()
		const python = "/usr/bin/python3" // that of the packages
		if err := exec.CommandContext(t.Context(), python, "-c", "import httpx, h2").Run(); err != nil {
			require.Missing(t, "python3 has no httpx with HTTP/2 (packages python3-httpx and python3-h2)")
		}
		return startJudge(t, python, "testdata/judge.py", "https://"+net.JoinHostPort(host, port))
	}},
	{"Java, HTTP/1.1", func(t *testing.T, host, port string) *judge { t.Helper(); return startJava(t, host, port, "HTTP_1_1") }},
	{"Java, HTTP/2", func(t *testing.T, host, port string) *judge { t.Helper(); return startJava(t, host, port, "HTTP_2") }},
	{"NSS", func(t *testing.T, host, port string) *judge {
		t.Helper()
		return startJudge(t, require.Tool(t, "tstclnt", "package libnss3-tools"), "-h", host, "-p", port, "-D", "-o", "-V", "tls1.3:tls1.3").byHand()
	}},
	{"GnuTLS", startGnuTLS},
	{"OpenSSL", startOpenSSL},
}

// TestOtherStacksKeepTheirConnection has clients of other stacks ask on one connection over ten moves.
func TestOtherStacksKeepTheirConnection(t *testing.T) {
	const upgrades = 10
	for _, tt := range judges {
		t.Run(tt.name, func(t *testing.T) {
			d := daemontest.Start(t, movingGroup)
			ear := eavesdrop(t, daemontest.Target(t, d, "secure").Address)
			host, port, err := net.SplitHostPort(ear.Addr().String())
			require.NoError(t, err)
			j := tt.start(t, host, port)
			for round := range upgrades + 1 {
				if round > 0 {
					daemontest.Upgrade(t, d)
				}
				daemontest.Await(t, fmt.Sprintf("answer of generation %d", round+1), func() bool {
					got, err := j.ask(round%2 == 1, strings.Repeat("x", 1+100*round))
					require.NoError(t, err)
					return got == fmt.Sprint(round+1)
				})
			}
			if got := ear.conns.Load(); got != 1 {
				t.Errorf("%d connections, want 1", got)
			}
		})
	}
}
