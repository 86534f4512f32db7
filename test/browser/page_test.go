package browser

import (
	"context"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is a tab of the browser.
type page struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	thrown []string // by the page's scripts
}

// chromium is the path of the browser. The test is skipped where there is none.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium on this machine: on Debian, apt-get install chromium")
	}
	return path
}

// openPage opens a page in a browser of its own, of a size and a colour scheme.
func openPage(t *testing.T, url string, width, height int64, scheme string) *page {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.EmulateViewport(width, height), prefers(scheme), chromedp.Navigate(url))
	return p
}

// prefers has the browser prefer a colour scheme.
func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// keepsFilesIn has the browser put what it downloads into a folder.
func (p *page) keepsFilesIn(dir string) {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: "allow", DownloadPath: dir})
		return err
	}))
}

func (p *page) hear(ev any) {
	if thrown, ok := ev.(*runtime.EventExceptionThrown); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		details := thrown.ExceptionDetails
		text := details.Text
		if details.Exception != nil {
			text += " " + details.Exception.Description
		}
		p.thrown = append(p.thrown, text)
	}
}

// quiet reports what the page's scripts threw.
func (p *page) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.thrown {
		p.t.Errorf("a script threw: %s", text)
	}
}

func (p *page) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval evaluates an expression of JavaScript; a promise is waited for.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// do evaluates an expression for what it does.
func (p *page) do(expression string) {
	p.t.Helper()
	eval[chromedp.Void](p, expression)
}

// sees waits until an expression is true. What it looks for may not be there yet.
func (p *page) sees(expression string) {
	p.t.Helper()
	guarded := "(() => { try { return Boolean(" + expression + ") } catch { return false } })()"
	eventually(p.t, "the page shows "+expression, func() bool { return eval[bool](p, guarded) })
}

// settle waits until the lists that are read in the background are there.
func (p *page) settle() {
	p.t.Helper()
	p.do(`new Promise((done) => setTimeout(done, 2500))`)
}

// inPage is an expression on what a module of the page exports, as m.
func inPage(module, expression string) string {
	return "import('/dashboard/" + module + "').then((m) => (" + expression + "))"
}

// nodes is how many nodes the page's tree has.
func (p *page) nodes() int {
	p.t.Helper()
	return eval[int](p, inPage("store.js", "m.state.forest.nodes.size"))
}

// press types keys into what has the focus.
func (p *page) press(keys string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(keys))
}

// click presses the first of what a selector finds whose text begins so.
func (p *page) click(selector, text string) {
	p.t.Helper()
	found := "[...document.querySelectorAll(" + strconv.Quote(selector) + ")].find((e) => e.textContent.trim().startsWith(" + strconv.Quote(text) + "))"
	p.sees(found)
	p.do(found + ".click()")
}
