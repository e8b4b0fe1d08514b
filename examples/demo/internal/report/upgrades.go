package report

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// line stands where a new generation serves.
type line struct {
	From, Width percent // from when it was asked for
	At          percent
	Text        string // "" where it would cover another
	Hint        string
}

// labelRoom is how far apart labels are at least. The page leaves words out of them where it is narrow.
const labelRoom percent = 7

func drawUpgrades(b *bins, run Run) []line {
	var lines []line
	for _, up := range run.Upgrades {
		from, at := b.at(up.Asked), b.at(up.Served)
		l := line{From: from, Width: at - from, At: at, Hint: hint(up, run.Started)}
		if at-lastLabel(lines) >= labelRoom {
			l.Text = strconv.Itoa(up.Generation)
		}
		lines = append(lines, l)
	}
	return lines
}

// lastLabel is where the last one stands, or left of all.
func lastLabel(lines []line) percent {
	for _, l := range slices.Backward(lines) {
		if l.Text != "" {
			return l.At
		}
	}
	return -labelRoom
}

func hint(up Upgrade, start time.Time) string {
	return fmt.Sprintf("generation %d, pid %d, serves at %.2f s, %v after it was asked for",
		up.Generation, up.PID, up.Served.Sub(start).Seconds(), up.Served.Sub(up.Asked).Round(time.Millisecond))
}
