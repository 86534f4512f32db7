package worker

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseProgress(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		text    string
		ok      bool
		metrics map[string]float64
	}{
		"[autoresearch] step 3 loss=0.5 acc=1e-3": {"step 3 loss=0.5 acc=1e-3", true, map[string]float64{"loss": 0.5, "acc": 1e-3}},
		"[autoresearch]":                              {"", true, nil},
		"[autoresearch]a=1":                           {"a=1", true, map[string]float64{"a": 1}},
		"[autoresearch] a=nan b=inf, c=-Infinity;":    {"a=nan b=inf, c=-Infinity;", true, map[string]float64{"a": math.NaN(), "b": math.Inf(1), "c": math.Inf(-1)}},
		"[autoresearch] a=1 a=2":                      {"a=1 a=2", true, map[string]float64{"a": 2}},
		"[autoresearch] a=1e999 b=-1e999":             {"a=1e999 b=-1e999", true, map[string]float64{"a": math.Inf(1), "b": math.Inf(-1)}},
		"[autoresearch] =1 a= b=x c=1=2 d=0x10 e=1_0": {"=1 a= b=x c=1=2 d=0x10 e=1_0", true, nil},
		"[autoresearch] größe=1 val/loss=.5 top.1=5.": {"größe=1 val/loss=.5 top.1=5.", true, map[string]float64{"größe": 1, "val/loss": 0.5, "top.1": 5}},
		" [autoresearch] a=1":                         {"", false, nil},
		"autoresearch a=1":                            {"", false, nil},
		"":                                            {"", false, nil},
	}
	for line, want := range rows {
		got := map[string]float64{}
		text, ok := parseProgress([]byte(line), func(name string, value float64) { got[name] = value })
		if text != want.text || ok != want.ok || len(got) != len(want.metrics) {
			t.Errorf("%q: text %q, %v, metrics %v", line, text, ok, got)
		}
		for name, value := range want.metrics {
			if g, there := got[name]; !there || g != value && !(math.IsNaN(g) && math.IsNaN(value)) {
				t.Errorf("%q: %s is %v", line, name, got[name])
			}
		}
	}
}

func FuzzParseProgress(f *testing.F) {
	f.Add([]byte("[autoresearch] loss=0.5, acc=1e-3"))
	f.Add([]byte("[autoresearch] \xff=\x00 =nan a=inf"))
	f.Add([]byte("[autoresearch]" + strings.Repeat("é", 600)))
	f.Fuzz(func(t *testing.T, line []byte) {
		text, ok := parseProgress(line, func(name string, _ float64) {
			if name == "" || len(name) > metricNameMax || !utf8.ValidString(name) {
				t.Fatalf("metric name %q", name)
			}
		})
		if ok != strings.HasPrefix(string(line), ProgressPrefix) || !utf8.ValidString(text) || len(text) > progressTextMax {
			t.Fatalf("text %q, %v", text, ok)
		}
	})
}

func TestLineReader(t *testing.T) {
	t.Parallel()
	var got []string
	r := &lineReader{max: 5, line: func(line []byte) { got = append(got, string(line)) }}
	for _, part := range []string{"ab", "c\nde\r\n", "\n\n", "1234567", "89\nx", "y"} {
		r.add([]byte(part))
	}
	r.flush()
	r.flush()
	if want := "abc|de|12345|xy"; strings.Join(got, "|") != want {
		t.Fatalf("lines %q, not %q", got, want)
	}
}

func TestMetricsAreBounded(t *testing.T) {
	t.Parallel()
	n := &news{}
	for i := range 2 * metricsMax {
		n.set(strings.Repeat("m", 1+i%metricNameMax)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)), 1)
	}
	n.set(strings.Repeat("x", metricNameMax+1), 1)
	if len(n.metrics) > metricsMax {
		t.Fatalf("%d metrics", len(n.metrics))
	}
	_, metrics, size := n.headline()
	if len(metrics) != headlineMetrics || size == 0 {
		t.Fatalf("a heartbeat takes %d metrics, %d bytes", len(metrics), size)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var end tail
	end.add([]byte(strings.Repeat("z", 3*tailMax)))
	for i := range 40 {
		end.add([]byte{'\n', byte('a' + i%26)})
	}
	end.add([]byte("\xff\x00\n\n"))
	lines := strings.Split(end.lastLines(), "\n")
	if len(lines) != tailLines || lines[tailLines-1] != "n" || !utf8.ValidString(end.lastLines()) {
		t.Fatalf("last lines %q", lines)
	}
	end = tail{}
	end.add([]byte(strings.Repeat("é", tailBytes)))
	if got := end.lastLines(); len(got) > tailBytes || !utf8.ValidString(got) {
		t.Fatalf("%d bytes", len(got))
	}
}
