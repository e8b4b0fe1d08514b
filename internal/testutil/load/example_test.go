package load_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

func ExampleLoad() {
	web := load.Target{Network: "tcp", Address: "127.0.0.1:8080"}
	l := load.New(nil)
	l.Add("keepalive", 16, func() (load.Client, error) {
		return load.NewKeepAlive(web, load.KeepAliveOptions{Think: 200 * time.Millisecond})
	})
	l.Add("get", 4, func() (load.Client, error) {
		return load.NewGet(web, load.GetOptions{})
	})
	l.Start(context.Background())
	time.Sleep(10 * time.Second) // upgrade the daemon here
	if err := l.Stop(); err != nil {
		fmt.Println(err)
	}
	if err := l.Recorder().WriteTable(os.Stdout); err != nil {
		fmt.Println(err)
	}
}
