package e2e

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// faults lists what a person could not use or read: what is wider than the screen, texts of a plot outside of it, plots
// without a label, and texts with a contrast below 4.5 (WCAG 2.2, 1.4.3).
const faults = `(() => {
  const found = [], name = e => e.tagName + "#" + e.id + "." + (e.className.baseVal ?? e.className) + " " + e.textContent.slice(0, 40);
  if (document.scrollingElement.scrollWidth > innerWidth) found.push("wider than the screen: " + document.scrollingElement.scrollWidth);
  for (const s of document.querySelectorAll("svg")) {
    if (!/lag|lookup|transactions/i.test(s.getAttribute("aria-label") ?? "")) found.push("no label: " + name(s));
    const box = s.getBoundingClientRect();
    for (const t of s.querySelectorAll("text")) {
      const b = t.getBoundingClientRect();
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.bottom > box.bottom + 1) found.push("outside of its plot: " + name(t));
    }
    if (s.querySelectorAll("text").length < 6) found.push("no axes: " + name(s));
  }
  const parts = c => (c.match(/[\d.]+/g) ?? []).map(Number);
  const light = c => { const [r, g, b] = parts(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (parts(c)[3] !== 0) return c; } return "rgb(255, 255, 255)"; };
  for (const e of document.querySelectorAll("main *, header *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility()) continue;
    const css = getComputedStyle(e), color = e.ownerSVGElement ? css.fill : css.color;
    if (parts(color)[3] === 0 || e.classList.contains("silence")) continue;
    const [a, b] = [light(color), light(ground(e))].sort((x, y) => y - x), contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push("contrast " + contrast.toFixed(2) + ": " + name(e));
  }
  return found.join("\n");
})()`

// The page is whole on a phone and on a desktop, light and dark, usable by the keyboard, and still if that is asked for.
// With SCREENSHOTS it is seen after a while of load and failures, and pictures of it go to that folder.
func TestTheOpsPageFitsItsScreens(t *testing.T) {
	t.Parallel()
	s := startOpsStack(t)
	folder := os.Getenv("SCREENSHOTS")
	browser := startChromium(t)
	page := browser.open(t, s.own, desktop, false)
	page.says(pagePatience, "#verdict", `^Redis follows`)
	page.says(pagePatience, "#paths", `(?m)^standby\s.*\d ms`)
	if folder != "" {
		s.live(t)
	}
	for name, on := range map[string]size{"desktop": desktop, "phone": phone} {
		for _, dark := range []bool{false, true} {
			page.screen(on, dark)
			page.do(chromedp.Evaluate[chromedp.Void]("draw(Date.now()); undefined"))
			if wrong := got(page, chromedp.Evaluate[string](faults)); wrong != "" {
				t.Errorf("%s, dark %t:\n%s", name, dark, wrong)
			}
			if folder != "" {
				page.picture(filepath.Join(folder, fmt.Sprintf("ops-%s-%s.png", name, map[bool]string{true: "dark", false: "light"}[dark])))
			}
		}
	}
	page.screen(desktop, false)
	page.do(chromedp.Focus("#plot-0"), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft))
	if !page.is(`/^at \d\d:\d\d:\d\d: lag /.test(document.getElementById("plot-0").getAttribute("aria-label"))`) {
		t.Error("the keyboard reads no value from the plot")
	}
	page.media("prefers-reduced-motion", "reduce")
	still := page.is(`new Promise(done => { const was = document.getElementById("plot-1").innerHTML, frames = state.samples.at(-1).at;
		const wait = () => state.samples.at(-1).at - frames > 2500 ? done(document.getElementById("plot-1").innerHTML === was) : setTimeout(wait, 100); wait(); })`)
	if !still {
		t.Error("the plots move although less motion is asked for")
	}
}

// picture writes a picture of the whole page.
func (p tab) picture(path string) {
	p.t.Helper()
	small, err := shrunk(got(p, chromedp.FullScreenshot(100)))
	if err == nil {
		err = os.WriteFile(path, small, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// shrunk is a picture with its 128 most frequent colours, and the nearest of these in place of the others.
func shrunk(text []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	counts, b := map[color.Color]int{}, from.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			counts[from.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	palette := color.Palette(colours[:min(len(colours), 128)])
	nearest := map[color.Color]uint8{}
	for c := range counts {
		nearest[c] = uint8(palette.Index(c))
	}
	to := image.NewPaletted(b, palette)
	for y := range b.Dy() {
		for x := range b.Dx() {
			to.SetColorIndex(x, y, nearest[from.At(x, y)])
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to)
	return out.Bytes(), err
}

// live lets bids come in for some minutes, and some things fail meanwhile.
func (s *opsStack) live(t *testing.T) {
	t.Helper()
	minutes := 6
	if text := os.Getenv("SCREENSHOT_MINUTES"); text != "" {
		var err error
		if minutes, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for second := range minutes * 60 {
		begun := time.Now()
		s.primary.Exec(t, `INSERT INTO bids (raffle_id, user_id, size, price, quantity, created_at)
			SELECT 901 + i % 90, 1 + i % 50, 250 + 5 * (random() * 10)::int, 1 + (random() * 300)::int * 1000, 1, clock_timestamp()
			FROM generate_series(1, (200 + 150 * sin($1 / 20.0) + random() * 60)::int) i`, second)
		switch second {
		case 90:
			s.replicator.Pause(t)
		case 115:
			s.replicator.Resume(t)
		case 180:
			if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		case 270:
			if err := s.redis.Del(t.Context(), s.epoch(t).Raffle(openRaffle)).Err(); err != nil {
				t.Fatal(err)
			}
		case 330:
			s.standby.Pause(t)
		case 338:
			s.standby.Resume(t)
		}
		if err := sleep.For(t.Context(), time.Second-time.Since(begun)); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, pagePatience, "an epoch", func() bool { return s.epoch(t) != 0 })
}
