package browser

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

const search = "testdata/search.yaml"

// TestTreeGrowsAndIsSteered: a search runs, its tree grows on the page, and what is pressed there takes effect.
func TestTreeGrowsAndIsSteered(t *testing.T) {
	e := startEngine(t, search)
	p := openPage(t, e.url(), 1400, 900, "light")
	p.sees(`document.querySelector('.link.live')`)
	before := p.nodes()
	eventually(t, "the tree grows", func() bool { return p.nodes() >= before+5 })

	p.click("header.top button", "Pause")
	p.sees(`document.querySelector('.status')?.textContent === 'paused'`)
	eventually(t, "the run rests", func() bool { return len(e.tasks("quick", "status=running,dispatched,reported")) == 0 })
	queue := e.tasks("quick", "status=queued&sort=queue")
	last, victim := queue[len(queue)-1].ID, queue[0].ID

	row := func(id string) string {
		return `[...document.querySelectorAll('ol.rows > li')].find((row) => row.querySelector('b').textContent === ` + strconv.Quote(id) + `)`
	}
	p.sees(row(last))
	p.do(row(last) + `.querySelectorAll('button.small')[0].click()`)
	p.sees(`document.querySelector('ol.rows b').textContent === ` + strconv.Quote(last))
	if first := e.tasks("quick", "status=queued&sort=queue")[0]; first.ID != last {
		t.Errorf("after the bump %s is first, want %s", first.ID, last)
	}
	dragged := queue[len(queue)-2].ID
	p.do(`(() => {
		const data = new DataTransfer();
		data.setData('text/plain', ` + strconv.Quote(dragged) + `);
		document.querySelectorAll('ol.rows > li')[1].dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
	})()`)
	p.sees(`document.querySelectorAll('ol.rows b')[1].textContent === ` + strconv.Quote(dragged))
	if second := e.tasks("quick", "status=queued&sort=queue")[1]; second.ID != dragged {
		t.Errorf("after the drop %s is second, want %s", second.ID, dragged)
	}
	p.do(row(victim) + `.querySelectorAll('button.small')[1].click()`)
	p.sees(row(victim) + `.querySelector('.danger')`)
	p.do(row(victim) + `.querySelectorAll('button.small')[1].click()`)
	p.sees(`!` + row(victim))
	if gone := e.tasks("quick", "status=cancelled"); len(gone) != 1 || gone[0].ID != victim {
		t.Errorf("cancelled: %+v, want %s", gone, victim)
	}
	p.sees(`document.querySelector('.top .stepper input').value === '2'`)
	p.do(`document.querySelector('.top .stepper button:last-child').click()`)
	p.sees(`document.querySelector('.top .stepper input').value === '3'`)
	p.click(".tabs button", "Changes")
	p.sees(`document.querySelector('.side').textContent.includes('cancel ` + victim + `')`)
	p.quiet()
}

// TestPageOutlivesTheCoordinator: the coordinator is killed and comes back; the page goes on where it was.
func TestPageOutlivesTheCoordinator(t *testing.T) {
	e := startEngine(t, search)
	p := openPage(t, e.url(), 1400, 900, "dark")
	p.sees(`document.querySelector('.link.live')`)
	e.kill()
	p.sees(`document.querySelector('.link.lost')`)
	e.start()
	p.sees(`document.querySelector('.link.live')`)
	before := p.nodes()
	eventually(t, "the tree grows on", func() bool { return p.nodes() >= before+5 })
	e.call(http.MethodPost, "/runs/quick/pause", map[string]any{}, nil)
	eventually(t, "the run rests", func() bool { return len(e.tasks("quick", "status=running,dispatched,reported")) == 0 })
	want := len(e.tasks("quick", "limit=1000"))
	eventually(t, "the page has every task", func() bool { return p.nodes() == want })
	open := eval[int](p, inPage("store.js", `[...m.state.forest.nodes.values()].filter((n) => n.status === 'running').length`))
	if open != 0 {
		t.Errorf("%d nodes still run on the page, and none in the run", open)
	}
	p.quiet()
}

// TestRunsAreToChooseFrom: a coordinator leads several runs; the page shows the one that is chosen, and says of one that is
// archived that it is.
func TestRunsAreToChooseFrom(t *testing.T) {
	e := startCoordinator(t)
	for _, run := range []string{"alpha", "beta"} {
		workflow := "kinds: {default: {command: [sleep, \"1\"]}}\ninitial: [{id: first-of-" + run + "}]\n"
		e.call(http.MethodPost, "/runs", map[string]any{"name": run, "workflow": workflow, "dir": "/"}, nil)
	}
	p := openPage(t, e.url(), 1400, 900, "dark")
	p.sees(`document.querySelector('.rows b')?.textContent === 'first-of-alpha'`)
	choose := func(run string) {
		p.do(`(() => {
			const runs = document.querySelector('.who select');
			runs.value = ` + strconv.Quote(run) + `;
			runs.dispatchEvent(new Event('change', { bubbles: true }));
		})()`)
	}
	p.sees(`document.querySelectorAll('.who option').length === 2`)
	choose("beta")
	p.sees(`document.querySelector('.rows b')?.textContent === 'first-of-beta'`)
	p.sees(`location.hash === '#run=beta'`)
	e.call(http.MethodPost, "/runs/alpha/archive", map[string]any{"archived": true, "force": true}, nil)
	choose("alpha")
	p.sees(`document.querySelector('.tree').textContent.includes('archived')`)
	p.sees(`!document.querySelector('.rows b')`)
	p.quiet()
}

// TestOutputIsLive: what an experiment writes stands on the page while it runs, and its metric becomes a curve; the reason of a
// failure stands there afterwards.
func TestOutputIsLive(t *testing.T) {
	t.Setenv("STEP", "1")
	e := startEngine(t, search)
	p := openPage(t, e.url()+"#run=quick&task=baseline", 1400, 900, "light")
	p.sees(`document.querySelector('.details pre')?.textContent.includes('step=2')`)
	p.sees(`document.querySelector('.lead').textContent === 'running'`)
	p.sees(`document.querySelector('.details .chart canvas')`)
	p.sees(`document.querySelector('.lead').textContent.startsWith('completed')`)
	p.sees(`document.querySelector('.details pre').textContent.includes('step=5')`)

	e.call(http.MethodPost, "/runs/quick/tasks", map[string]any{"tasks": []any{map[string]any{
		"id": "astray", "kind": "experiment", "priority": -2000, "parent": "baseline", "payload": map[string]any{"lr": 0.9},
	}}}, nil)
	p.do(`location.hash = '#run=quick&task=astray'`)
	p.sees(`document.querySelector('.failure pre')?.textContent.includes('the loss is not a number')`)
	p.sees(`document.querySelector('.details').textContent.includes('against baseline')`)
	p.quiet()
}

// TestKeysLeadThroughThePage: the search, the tree and the details work without a pointer.
func TestKeysLeadThroughThePage(t *testing.T) {
	e := startEngine(t, search)
	p := openPage(t, e.url(), 1400, 900, "light")
	eventually(t, "the tree grows", func() bool { return p.nodes() > 6 })
	p.press("/")
	p.sees(`document.activeElement.id === 'search'`)
	p.do(`document.activeElement.value = ''`) // chromedp types the slash itself, whatever the page made of it
	p.press("baseline")
	p.sees(`document.querySelector('.tree output').textContent === '1 found'`)
	p.press(kb.Enter)
	p.sees(`document.querySelector('.details h2')?.textContent === 'baseline'`)
	p.do(`document.querySelector('canvas').focus()`)
	p.press(kb.ArrowRight)
	p.sees(`document.querySelector('.details h2')?.textContent !== 'baseline'`)
	p.sees(`document.querySelector('.details').textContent.includes('against baseline')`)
	p.press(kb.ArrowLeft + kb.Escape)
	p.sees(`!document.querySelector('.details')`)
	p.quiet()
}

// TestHostileTextStaysText: what strangers write is shown, and never run.
func TestHostileTextStaysText(t *testing.T) {
	e := startEngine(t, search)
	e.call(http.MethodPost, "/runs/quick/pause", map[string]any{}, nil)
	script := `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`
	e.call(http.MethodPost, "/runs/quick/tasks", map[string]any{"tasks": []any{map[string]any{
		"id": script, "kind": "experiment", "priority": -5000,
		"payload": map[string]any{script: script, "type": "img", "__html": script, "dangerouslySetInnerHTML": map[string]any{"__html": script}},
	}}}, nil)
	p := openPage(t, e.url(), 1400, 900, "light")
	p.sees(`[...document.querySelectorAll('.rows b')].some((b) => b.textContent === ` + strconv.Quote(script) + `)`)
	p.click(".rows button.name", script)
	p.sees(`document.querySelector('.figures-table')?.textContent.includes('onerror')`)
	p.click(".details button", "Cancel")
	p.click(".details button", "Really")
	p.sees(`document.querySelector('.failure')`)
	p.click(".details button", "✕")
	p.click(".tabs button", "Failures")
	p.sees(`document.querySelector('.group')?.textContent.includes('onerror')`)
	if eval[bool](p, `Boolean(window.hacked) || document.querySelector('img, script:not([src])') !== null`) {
		t.Error("text became markup")
	}
	if eval[bool](p, `(() => {
		const script = document.createElement('script');
		script.textContent = 'window.hacked = 1';
		document.body.append(script);
		return Boolean(window.hacked);
	})()`) {
		t.Error("the policy lets scripts run that are in the page")
	}
}

// TestArtifactsAreFetched: the files that an experiment left stand below it, with what was not kept and why, and are fetched with
// the reader's token.
func TestArtifactsAreFetched(t *testing.T) {
	const token = "reader-token-of-the-test"
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("read "+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, search, "--http-tokens", file)
	p := openPage(t, e.url()+"#run=quick&task=baseline", 1400, 900, "light")
	p.sees(`document.querySelector('#token')`)
	p.do(`document.querySelector('#token').value = ` + strconv.Quote(token))
	p.click("form button", "Sign in")
	p.sees(`document.querySelector('.artifacts')?.textContent.includes('rate.txt')`)
	p.sees(`document.querySelector('.artifacts').textContent.includes('7 B')`)
	p.sees(`[...document.querySelectorAll('.artifacts tr')].find((row) => row.textContent.startsWith('astray')).textContent.includes('not kept: ')`)
	dir := t.TempDir()
	p.keepsFilesIn(dir)
	p.click(".artifacts a", "rate.txt")
	eventually(t, "the file is there", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "rate.txt"))
		return err == nil && string(text) == "lr=0.1\n"
	})
	p.quiet()
}

// TestAllowanceIsShown: a task's details say what it and all below it may spend and have spent, and a task below whose that is.
func TestAllowanceIsShown(t *testing.T) {
	e := startEngine(t, search)
	p := openPage(t, e.url()+"#run=quick&task=baseline", 1400, 900, "light")
	p.sees(`/experiments\s*[1-9]\d* of 99/.test(document.querySelector('.allowance')?.textContent)`)
	var below string
	eventually(t, "there is a task below it", func() bool {
		for _, task := range e.tasks("quick", "status=completed") {
			if task.ID != "baseline" {
				below = task.ID
			}
		}
		return below != ""
	})
	other := openPage(t, e.url()+"#run=quick&task="+below, 1400, 900, "dark")
	other.sees(`document.querySelector('.allowance')?.textContent.includes('draws on that of baseline')`)
	other.click(".allowance button", "baseline")
	other.sees(`document.querySelector('.details h2')?.textContent === 'baseline'`)
}

// TestTokenIsAskedFor: the page asks for a token where the API does, and says so when it is wrong.
func TestTokenIsAskedFor(t *testing.T) {
	const token = "operator-token-of-the-test"
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("operator "+token+" anna\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, search, "--http-tokens", file)
	p := openPage(t, e.url(), 390, 844, "dark")
	enter := func(text string) {
		p.sees(`document.querySelector('#token')`)
		p.do(`document.querySelector('#token').value = ` + strconv.Quote(text))
		p.click("form button", "Sign in")
	}
	enter("a-token-that-is-not-known")
	p.sees(`document.querySelector('.signin')?.textContent.includes('not known')`)
	enter(token)
	p.sees(`document.querySelector('.link.live')`)
	if kept := eval[string](p, `document.cookie + JSON.stringify(localStorage)`); strings.Contains(kept, token) {
		t.Errorf("the token outlives the tab: %s", kept)
	}
	p.click(".top button", "Pause")
	p.sees(`document.querySelector('.status')?.textContent === 'paused'`)
}
