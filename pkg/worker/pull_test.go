package worker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestSlotsBoundWhatRuns: never more at once than slots, and none of them idle while there is work.
func TestSlotsBoundWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		b := startBench(t, func(o *Options) { o.Slots[testClass] = 5 }, runners(map[string]spec.RunnerFunc{
			"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Second)
				now.Add(-1)
				return spec.TaskResult{}, nil
			},
		}))
		start := time.Now()
		for i := range 50 {
			b.give(dispatch(taskID(i)))
		}
		b.until("all are reported", func() bool { return len(b.reports()) == 50 })
		if took := time.Since(start); most.Load() != 5 || took != 10*time.Second {
			t.Errorf("%d at once, all in %v", most.Load(), took)
		}
	})
}

// TestBatch: all tasks of a message start at once; what there is no slot for is handed back.
func TestBatch(t *testing.T) {
	t.Parallel()
	link := newTestLink()
	link.together = 5
	for i := range link.together {
		link.tasks[testClass] = append(link.tasks[testClass], dispatch(taskID(i)))
	}
	o := testOptions(t)
	o.Slots[testClass] = 3
	var begun atomic.Int32
	begunAll := make(chan struct{}, 1)
	o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(func(_ context.Context, _ spec.Attempt) (spec.TaskResult, error) {
		if begun.Add(1) == 3 {
			notify(begunAll)
		}
		<-begunAll // all three run at the same time
		notify(begunAll)
		return spec.TaskResult{}, nil
	})}
	b := restart(t, o, link)
	b.until("all are reported", func() bool { return len(b.reports()) == 5 })
	declined := 0
	for _, r := range b.reports() {
		if r.Preempted && r.Failure.Cause() == spec.CauseDeclined {
			declined++
		}
	}
	if declined != 2 || begun.Load() != 3 {
		t.Errorf("%d ran and %d were handed back", begun.Load(), declined)
	}
}

// TestDeafClass: a class whose pulls fail offers nothing, says so at once, tries with growing pauses, and is back as soon
// as a pull works.
func TestDeafClass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := newTestLink()
		link.pullErr["gpu"] = bus.ErrMissing
		o := testOptions(t)
		o.Slots = map[string]int{"cpu": 1, "gpu": 3}
		o.Heartbeat = time.Hour
		registry := prometheus.NewRegistry()
		o.Registerer = registry
		b := restart(t, o, link)
		b.limit = time.Hour
		b.until("it is noticed", func() bool {
			s := b.lastBeat().Slots
			return len(s) == 2 && s[0].Free == 1 && s[1].Free == 0 && s[1].Total == 3
		})
		time.Sleep(5 * time.Minute)
		if b.mu.Lock(); b.pulls > 200 {
			t.Errorf("%d pulls", b.pulls)
		}
		b.mu.Unlock()
		for state, want := range map[string]float64{"cpu busy": 0, "cpu free": 1, "cpu deaf": 0, "gpu free": 0, "gpu deaf": 3} {
			if got := slotsMetric(t, registry)[state]; got != want {
				t.Errorf("%v slots are %s", got, state)
			}
		}
		b.change(func() { delete(b.pullErr, "gpu") })
		start := time.Now()
		b.until("it is back", func() bool { s := b.lastBeat().Slots; return s[1].Free == 3 })
		if took := time.Since(start); took > backoffMax+pullProbe {
			t.Errorf("back after %v", took)
		}
	})
}

// TestIdleSlotsAreTold: the leaders hear that slots are free as soon as these stand idle: of another run's tasks they know nothing
// else. While tasks come there is nothing to tell.
func TestIdleSlotsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		b := startBench(t, func(o *Options) { o.Slots[testClass], o.Heartbeat = 2, 5*time.Second }, runners(map[string]spec.RunnerFunc{
			"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
				<-end
				return spec.TaskResult{}, nil
			},
		}))
		b.limit = time.Hour
		b.give(dispatch("a"))
		b.give(dispatch("b"))
		b.until("a heartbeat names no free slot", func() bool { s := b.lastBeat().Slots; return len(s) == 1 && s[0].Free == 0 })
		began := time.Now()
		close(end)
		b.until("a heartbeat names both", func() bool { return b.lastBeat().Slots[0].Free == 2 })
		if took := time.Since(began); took > 2*idleNotice {
			t.Errorf("the free slots were told after %v", took)
		}
	})
}

// slotsMetric returns the slots by class and state.
func slotsMetric(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	return readMetric(t, registry, metricPrefix+"slots")
}

// readMetric returns the values of a gauge or counter by its labels' values, with a space between.
func readMetric(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() != name {
				continue
			}
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			values[strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

// TestStalledPull: a pull that never returns is given up by the watchdog and made again.
func TestStalledPull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := &stallingLink{testLink: newTestLink()}
		link.stalls.Store(2)
		o := testOptions(t)
		o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{}, nil
		})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- run(ctx, o, func(context.Context, *Options, spec.WorkerID) (linkType, error) { return link, nil })
		}()
		link.change(func() { link.tasks[testClass] = append(link.tasks[testClass], dispatch("t")) })
		time.Sleep(2*(pullExpiry+pullGrace) + 2*backoffMax)
		if len(link.reports()) != 1 {
			t.Error("no pull after the stalled one")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type stallingLink struct {
	*testLink
	stalls atomic.Int32
}

func (l *stallingLink) pull(ctx context.Context, class string, expiry time.Duration) ([]*bus.Dispatch, error) {
	if l.stalls.Add(-1) >= 0 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return l.testLink.pull(ctx, class, expiry)
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, limit := range map[int]time.Duration{1: backoffFirst, 2: 2 * backoffFirst, 6: 32 * backoffFirst, 7: backoffMax, 1000: backoffMax} {
		for range 100 {
			if d := backoff(failures); d < limit/2 || d > limit {
				t.Fatalf("%v after %d failures", d, failures)
			}
		}
	}
}

// ask returns the status and the reasons of a health page.
func ask(t *testing.T, w *worker, path string) (status int, reasons []string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	w.handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	var body struct {
		Status, Worker string
		Reasons        []string
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil || body.Worker == "" {
		t.Fatalf("%s answers %q: %v", path, recorder.Body, err)
	}
	return recorder.Code, body.Reasons
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, err := testOptions(t).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		w, closeFiles, err := open(o)
		if err != nil {
			t.Fatal(err)
		}
		link := newTestLink()
		w.link = link
		if status, reasons := ask(t, w, "/readyz"); status != http.StatusServiceUnavailable || len(reasons) != 1 {
			t.Errorf("ready before the connection: %v", reasons)
		}
		if status, reasons := ask(t, w, "/healthz"); status != http.StatusOK {
			t.Errorf("unhealthy before the connection: %v", reasons)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.run(ctx) }()
		time.Sleep(time.Hour)
		if status, reasons := ask(t, w, "/healthz"); status != http.StatusOK {
			t.Errorf("unhealthy while idle: %v", reasons)
		}
		if status, reasons := ask(t, w, "/readyz"); status != http.StatusOK {
			t.Errorf("not ready: %v", reasons)
		}
		link.change(func() {
			link.pullErr[testClass] = errors.New("permissions violation")
			link.uplinkErr = errors.New("no")
		})
		time.Sleep(2 * deafAfter)
		if status, reasons := ask(t, w, "/healthz"); status != http.StatusServiceUnavailable || len(reasons) != 2 {
			t.Errorf("deaf: status %d, %v", status, reasons)
		}
		link.change(func() { link.offline = true })
		if status, reasons := ask(t, w, "/healthz"); status != http.StatusOK {
			t.Errorf("unhealthy without NATS: %v", reasons)
		}
		if status, _ := ask(t, w, "/readyz"); status != http.StatusServiceUnavailable {
			t.Error("ready without NATS")
		}
		link.change(func() { link.offline = false })
		link.again()
		if status, reasons := ask(t, w, "/healthz"); status != http.StatusOK {
			t.Errorf("unhealthy right after a reconnect: %v", reasons)
		}
		cancel()
		if err := errors.Join(<-done, closeFiles()); err != nil {
			t.Error(err)
		}
		if status, reasons := ask(t, w, "/readyz"); status != http.StatusServiceUnavailable || reasons[0] != "leaving" {
			t.Errorf("ready while leaving: %v", reasons)
		}
	})
}

func TestMetricsAreServedAndTakenOut(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	addresses := &addressLog{found: make(chan string, 1)}
	b := startBench(t, func(o *Options) {
		o.Registerer, o.HTTPAddr, o.Logger = registry, "127.0.0.1:0", addresses.logger()
	}, runners(map[string]spec.RunnerFunc{"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
		return spec.TaskResult{}, nil
	}}))
	b.give(dispatch("t"))
	b.report("t", 1)
	b.until("it is listed", func() bool { return len(b.lastBeat().Finished) == 1 })
	text := get(t, "http://"+<-addresses.found+"/metrics")
	for _, want := range []string{
		`autoresearch_worker_attempts_total{class="cpu",outcome="succeeded"} 1`,
		`autoresearch_worker_attempt_duration_seconds_count{class="cpu"} 1`,
		`autoresearch_worker_slots{class="cpu",state="free"} 2`,
		`autoresearch_worker_spool_entries 1`, `autoresearch_worker_unreceipted_results 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d metrics are left behind, %v", len(families), err)
	}
}

// get returns the body of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMetricsNeedARegistryOfTheirOwn(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := startBench(t, func(o *Options) { o.Registerer = registry })
	b.until("it runs", func() bool { return len(b.uplinks()) > 0 })
	o := testOptions(t)
	o.Registerer = registry
	err := run(t.Context(), o, func(context.Context, *Options, spec.WorkerID) (linkType, error) { return newTestLink(), nil })
	if err == nil || !strings.Contains(err.Error(), "registry of its own") {
		t.Errorf("it returned %v", err)
	}
}
