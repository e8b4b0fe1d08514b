package pages

import (
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/browser"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// collisions are the texts of a drawing that lie over each other or over a bar, or leave the page. Those that are turned have boxes that say
// nothing; the one that is in a bar is to be there.
const collisions = `(() => {
	const bad = [];
	const box = e => e.getBoundingClientRect();
	const over = (r, o) => r.left < o.right && o.left < r.right && r.top < o.bottom && o.top < r.bottom;
	const page = box(document.querySelector('rect.page'));
	const bars = [...document.querySelectorAll('rect:not(.page), path.arrow, path.line')].map(box);
	const texts = [...document.querySelectorAll('text:not(.in)')];
	texts.forEach((e, i) => {
		const r = box(e);
		if (r.width === 0 || r.left < page.left || r.right > page.right || r.top < page.top || r.bottom > page.bottom) bad.push(e.textContent);
		if (e.hasAttribute('transform')) return;
		if (bars.some(o => over(r, o))) bad.push(e.textContent + ' over a bar');
		for (const other of texts.slice(i + 1)) if (!other.hasAttribute('transform') && over(r, box(other))) bad.push(e.textContent + ' over ' + other.textContent);
	});
	return texts.length < 20 ? 'there are hardly any texts' : bad.join(', ');
})()`

// Each text of the drawings has room.
func TestDrawings(t *testing.T) {
	b := browser.Start(t)
	for _, name := range []string{"generations.svg", "moving.svg"} {
		t.Run(name, func(t *testing.T) {
			path, err := filepath.Abs(filepath.Join(root, "docs", name))
			must(t, err)
			b.Open(t, "file://"+path)
			require.Eventually(t, "the drawing", func() bool { return b.Eval(t, "[location.href, document.readyState]") == "file://"+path+",complete" })
			if got := b.Eval(t, collisions); got != "" {
				t.Errorf("texts without room: %s", got)
			}
		})
	}
}
