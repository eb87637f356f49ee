package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// chromium is a headless browser that a test drives.
type chromium struct{ allocator context.Context }

func startChromium(t testing.TB) chromium {
	t.Helper()
	profile, port := t.TempDir(), testenv.FreePort(t)
	args := []string{"--headless", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
		"--no-proxy-server", "--hide-scrollbars", "--force-color-profile=srgb", "--user-data-dir=" + profile, fmt.Sprintf("--remote-debugging-port=%d", port), "about:blank"}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...) // it refuses to run as root with its sandbox
	}
	testenv.StartProcess(t, testenv.Process{Path: testenv.Tool(t, "chromium", "chromium"), Args: args, Env: []string{"HOME=" + profile},
		Ready: fmt.Sprintf("http://127.0.0.1:%d/json/version", port)})
	ctx, cancel := remote.NewAllocator(context.Background(), fmt.Sprintf("ws://127.0.0.1:%d", port))
	t.Cleanup(cancel)
	return chromium{ctx}
}

// tab is an open page. What it throws or logs as an error fails the test.
type tab struct {
	t   testing.TB
	ctx context.Context
}

// size is a screen in CSS pixels.
type size struct{ width, height int64 }

var desktop, phone = size{1280, 900}, size{390, 844}

// open opens a page on a screen, light or dark.
func (c chromium) open(t testing.TB, url string, on size, dark bool) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(c.allocator)
	t.Cleanup(cancel)
	p := tab{t, ctx}
	err := chromedp.Listen(ctx, func(event any) {
		if e, is := event.(*runtime.EventExceptionThrown); is {
			t.Errorf("%s threw %+v", url, e.ExceptionDetails)
		}
	})
	if err != nil {
		t.Fatalf("browser: %v", err)
	}
	p.screen(on, dark)
	p.do(chromedp.Navigate(url))
	return p
}

func (p tab) screen(on size, dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do(chromedp.EmulateViewport(on.width, on.height))
	p.media("prefers-color-scheme", scheme)
}

// media sets what the person prefers.
func (p tab) media(feature, value string) {
	p.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: feature, Value: value}}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, media); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// do acts, within a time that is long only on a busy machine.
func (p tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	for _, a := range actions {
		got(p, a)
	}
}

// got acts and returns what came of it.
func got[T any](p tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("browser: %v", err)
	}
	return value
}

// text is what an element shows; "" if it is not there.
func (p tab) text(selector string) string {
	p.t.Helper()
	return got(p, chromedp.Evaluate[string](fmt.Sprintf("(e => e?.innerText ?? e?.textContent ?? '')(document.querySelector(%q))", selector)))
}

// number evaluates an expression.
func (p tab) number(expression string) float64 {
	p.t.Helper()
	return got(p, chromedp.Evaluate[float64](expression))
}

func (p tab) is(expression string) bool {
	p.t.Helper()
	return got(p, chromedp.Evaluate[bool]("Promise.resolve("+expression+").then(Boolean)", chromedp.EvalAwaitPromise))
}
