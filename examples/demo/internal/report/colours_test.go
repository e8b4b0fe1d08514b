package report_test

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var colour = regexp.MustCompile(`--(\w+): #([0-9a-f]+);`)

// Contrasts are those that WCAG asks for: 4.5 for text, and 3 for what is drawn.
func TestColoursCanBeToldFromWhatIsBehind(t *testing.T) {
	light, dark, ok := strings.Cut(busy().page(t), "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("no colours for dark pages")
	}
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		t.Run(scheme, func(t *testing.T) {
			luminances := make(map[string]float64)
			for _, m := range colour.FindAllStringSubmatch(css, -1) {
				luminances[m[1]] = luminance(t, m[2])
			}
			if len(luminances) != 22 {
				t.Errorf("%d colours, want 22", len(luminances))
			}
			for name, l := range luminances {
				least := 3.0
				switch name {
				case "page", "card", "rule", "grid", "shade":
					continue
				case "text", "dim", "good", "bad":
					least = 4.5
				}
				for _, behind := range []string{"page", "card"} {
					if got := contrast(l, luminances[behind]); got < least {
						t.Errorf("%s on %s has a contrast of %.2f, want %g", name, behind, got, least)
					}
				}
			}
		})
	}
}

func contrast(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

// luminance of "fff" or "ffffff", by WCAG 2.
func luminance(t *testing.T, hex string) (l float64) {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			l += weight * c / 12.92
		} else {
			l += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return l
}
