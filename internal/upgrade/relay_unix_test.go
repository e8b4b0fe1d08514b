//go:build unix

package upgrade

import (
	"bufio"
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

func init() {
	Roles["relay"] = standBetween
	Roles["relay without a parent"] = standNowhere
}

// standBetween is a successor with a relay. Its standard input tells it when to
// go on, its standard output what it sees.
func standBetween() {
	r, err := newRelay()
	if err != nil {
		fmt.Println(err)
		return
	}
	names := os.NewFile(tableflipNamesFD, "what tableflip sees")
	var files [][]string
	err = gob.NewDecoder(names).Decode(&files)
	fmt.Println("files:", len(files), err)
	steps := bufio.NewReader(os.Stdin)
	_, _ = steps.ReadString('\n')
	ready := os.NewFile(tableflipReadyFD, "where tableflip says it")
	_, err = ready.Write([]byte{notifyReady})
	fmt.Println("ready:", err, ready.Close())
	r.release()
	rest, err := io.ReadAll(names)
	fmt.Printf("released: %q %v\n", rest, err)
	select {
	case <-r.exited:
		fmt.Println("the parent is gone too early")
	default:
	}
	fmt.Println("the parent lives")
	<-r.exited
	r.release() // again, as it must not matter
	fmt.Println("the parent is gone")
}

func standNowhere() {
	_, err := newRelay()
	fmt.Println(err)
}

// play has this binary play a role, with the files from descriptor 3 on.
func play(t *testing.T, role string, files ...*os.File) (stdin io.WriteCloser, stdout *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), RoleEnv+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.(*os.File).SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it ends by itself, or with the test's context
	return stdin, bufio.NewReader(out)
}

func expect(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); got != want+"\n" {
		t.Fatalf("the process says %q, %v, want %q", got, err, want)
	}
}

func TestRelay(t *testing.T) {
	for _, names := range []bool{true, false} {
		testRelay(t, names)
	}
}

func testRelay(t *testing.T, names bool) {
	t.Helper()
	readyR, readyW := newPipe(t)
	namesR, namesW := newPipe(t)
	stdin, stdout := play(t, "relay", readyW, namesR)
	readyW.Close()
	namesR.Close()
	if names { // they may come late, or never
		fmt.Fprintln(namesW, "the names")
	}
	expect(t, stdout, "files: 0 <nil>")
	fmt.Fprintln(stdin, "release")
	expect(t, stdout, "ready: <nil> <nil>")
	expect(t, stdout, `released: "*" <nil>`)
	expect(t, stdout, "the parent lives")
	namesW.Close()
	expect(t, stdout, "the parent is gone")
	if rest, err := io.ReadAll(readyR); err != nil || len(rest) > 0 {
		t.Errorf("the relay wrote %q, %v to the parent", rest, err)
	}
}

// A daemon of somebody else's, which uses tableflip too, has passed its variable on.
func TestRelayWithoutAParent(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, pipe := newPipe(t)
	for _, files := range [][]*os.File{nil, {file, file}, {pipe, file}, {pipe}} {
		_, stdout := play(t, "relay without a parent", files...)
		got, err := stdout.ReadString('\n')
		if !strings.Contains(got, early.SuccessorEnv+" is set, but ") {
			t.Errorf("with %d files: %q, %v", len(files), got, err)
		}
	}
}
