package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a real one without a window, in which no page may run a script.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the browser about pages
}

// newBrowser starts Chromium. Names of hosts are mapped as its --host-resolver-rules say.
func newBrowser(t *testing.T, hosts string) *browser {
	t.Helper()
	need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.IgnoreCertErrors, chromedp.DisableGPU, chromedp.UserDataDir(tempDir(t)),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("host-resolver-rules", hosts), chromedp.Flag("no-proxy-server", true),
	)
	b := &browser{t: t}
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...) // it ends before its folder goes
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		var err error
		for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, runtime.Enable} {
			_, e := cdp.Call(ctx, target, enable, cdp.Empty{})
			err = errors.Join(err, e)
		}
		_, e := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		_, e2 := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return errors.Join(err, e, e2)
	}))
	ctx, cancel = context.WithTimeout(ctx, 3*patience)
	t.Cleanup(cancel)
	b.ctx = ctx
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Errorf("the browser complains: %s", c)
		}
	})
	return b
}

// listen notes what the browser has to say against a page: policies that it breaks, files
// that are not there, scripts.
func (b *browser) listen(event any) {
	var text string
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning || e.Entry.Source == log.EntrySourceSecurity {
			text = fmt.Sprintf("%s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console.%s", e.Type)
	case *network.EventLoadingFailed:
		if !e.Canceled && e.ErrorText != "net::ERR_ABORTED" { // a frame that another page took the place of
			text = e.ErrorText
		}
	}
	if text != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, text)
	}
}

// forgive drops the complaints that contain words, which a test has provoked.
func (b *browser) forgive(words string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []string
	for _, c := range b.complaints {
		if !strings.Contains(c, words) {
			rest = append(rest, c)
		}
	}
	b.complaints = rest
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to a page and wants words in it.
func (b *browser) open(url string, words ...string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	b.has(words...)
}

// has waits until the page, its frames aside, has these words.
func (b *browser) has(words ...string) {
	b.t.Helper()
	if err := eventually(patience, func() error {
		text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		if err != nil {
			return err
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Errorf("the page has no %q:\n%s", w, text)
			}
		}
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
}

// click clicks a button or a link and waits for the page that comes.
func (b *browser) click(selector string, words ...string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
	b.has(words...)
}

// text is what an element shows.
func (b *browser) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

// live waits until the frame on the page has these words.
func (b *browser) live(words ...string) {
	b.t.Helper()
	if err := eventually(patience, func() error {
		text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector("iframe").contentDocument.body.innerText`))
		for _, w := range words {
			if err == nil && !strings.Contains(text, w) {
				err = fmt.Errorf("the live line has no %q:\n%s", w, text)
			}
		}
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
}

// width makes the window so many pixels wide, and tells whether the page then goes beyond it.
func (b *browser) width(n int64) (overflows bool) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(n, 800))
	overflows, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > window.innerWidth`))
	if err != nil {
		b.t.Fatal(err)
	}
	return overflows
}
