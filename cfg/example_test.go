package cfg_test

import (
	"errors"
	"fmt"
	"log"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

// Every mistake is reported at once, and can be taken apart.
func ExampleErrors() {
	_, err := gozd.New(gozd.Options{Config: "/etc/app/app.conf"})
	var mistakes cfg.Errors
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			fmt.Println(m.File, m.Line, m.Section, m.Key, m.Msg)
		}
	} else if err != nil {
		log.Fatal(err)
	}
}
