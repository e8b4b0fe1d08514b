package config

import "strings"

// suggest returns the candidate that word is probably a misspelling of, or "".
// One slip is allowed for every three letters, so that "tls" is not taken for
// "tcp"; words of one or two letters are too short to tell. Case is no slip.
func suggest(word string, candidates []string) string {
	if len(word) < 3 || len(word) > 64 {
		return ""
	}
	best, least := "", (len(word)+2)/3+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the slips between two words: letters left out, put in,
// mistaken, and neighbours swapped, which is the commonest one when typing.
func distance(a, b string) int {
	var before, prev []int
	cur := make([]int, len(b)+1)
	for j := range cur {
		cur[j] = j
	}
	for i := range len(a) {
		before, prev, cur = prev, cur, make([]int, len(b)+1)
		cur[0] = i + 1
		for j := range len(b) {
			cur[j+1] = min(prev[j+1]+1, cur[j]+1, prev[j]+differ(a[i], b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cur[j+1] = min(cur[j+1], before[j-1]+1)
			}
		}
	}
	return cur[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
