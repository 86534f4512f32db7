package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// pages is the beginning of the book, enough to learn a little from.
var pages = sync.OnceValue(func() *corpus { return newCorpus(opticks[:24000]) })

// quick is a run of a small model, for a small share of the usual budget.
func quick() options {
	p := defaultParams()
	p.Context, p.Embedding, p.Hidden, p.Optimizer, p.LR = 2, 4, 8, "adam", 0.02
	return options{params: p, budget: 5e7}
}

func mustRun(t *testing.T, o options) (result, string) {
	t.Helper()
	var progress bytes.Buffer
	r, err := runExperiment(t.Context(), o, pages(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	return r, progress.String()
}

// TestTrainingLearns checks that the model does better than the best one that
// knows how frequent each byte is and nothing of what goes before it.
func TestTrainingLearns(t *testing.T) {
	t.Parallel()
	r, progress := mustRun(t, quick())
	if bits, unigram := r.Metrics["val_bpb"], unigramBits(pages()); bits > unigram-0.3 {
		t.Errorf("val_bpb is %.3f, the unigram entropy %.3f", bits, unigram)
	}
	if strings.Contains(progress, "test_bpb") || r.Metrics["test_bpb"] != 0 {
		t.Error("a normal run scored the test split")
	}
	if lines := strings.Count(progress, "[autoresearch] step="); lines != reports {
		t.Errorf("%d lines of progress, want %d:\n%s", lines, reports, progress)
	}
}

// unigramBits is the entropy of the training symbols in bits.
func unigramBits(c *corpus) float64 {
	count := make([]float64, c.vocabulary.size)
	for _, at := range c.train {
		count[c.text[at]]++
	}
	bits, all := 0.0, float64(len(c.train))
	for _, n := range count {
		if n > 0 {
			bits -= n / all * math.Log2(n/all)
		}
	}
	return bits
}

func TestEqualRunsAreEqual(t *testing.T) {
	t.Parallel()
	o := quick()
	o.budget, o.evalTest = 2.5e7, true
	first, progress := mustRun(t, o)
	if again, same := mustRun(t, o); !reflect.DeepEqual(first, again) || progress != same {
		t.Errorf("two runs differ: %v and %v", first.Metrics, again.Metrics)
	}
	if first.Metrics["test_bpb"] == 0 || !strings.Contains(progress, "test_bpb=") {
		t.Error("--eval-test did not score the test split")
	}
	o.params.Seed++
	if other, _ := mustRun(t, o); other.Metrics["val_bpb"] == first.Metrics["val_bpb"] {
		t.Error("another seed gave the same run")
	}
}

// TestBudget checks the tradeoff of the search, and that the largest model
// allowed can be trained at all.
func TestBudget(t *testing.T) {
	t.Parallel()
	small := defaultParams()
	large := small
	large.Context, large.Embedding, large.Hidden, large.Layers = maxContext, 32, 192, 2
	large.Batch, large.Optimizer = 256, "adam"
	smallSteps, largeSteps := stepsOf(t, small), stepsOf(t, large)
	if largeSteps*large.Batch*4 > smallSteps*small.Batch {
		t.Errorf("the largest model sees %d examples, the baseline %d", largeSteps*large.Batch, smallSteps*small.Batch)
	}
	_, err := newTraining(small, book(), 1e6)
	if _, is := errors.AsType[usageError](err); !is {
		t.Errorf("a budget of 1e6 gave %v, want a usage error", err)
	}
}

func stepsOf(t *testing.T, p params) int {
	t.Helper()
	training, err := newTraining(p, book(), defaultBudget)
	if err != nil {
		t.Fatal(err)
	}
	return training.steps
}

func TestTrainingStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("told to stop")
	cancel(reason)
	if _, err := runExperiment(ctx, quick(), pages(), &bytes.Buffer{}); !errors.Is(err, reason) {
		t.Errorf("got %v, want %v", err, reason)
	}
}

func TestDivergenceIsAnError(t *testing.T) {
	t.Parallel()
	training, err := newTraining(quick().params, pages(), quick().budget)
	if err != nil {
		t.Fatal(err)
	}
	for i := range training.model.values {
		training.model.values[i] = float32(math.NaN())
	}
	if err := training.advance(t.Context(), 1, map[string]float64{}); !errors.Is(err, errDiverged) {
		t.Errorf("got %v, want %v", err, errDiverged)
	}
}

// TestScoreDoesNotDependOnBatches checks the score of one position at a time
// against that of all together, the last batch being short.
func TestScoreDoesNotDependOnBatches(t *testing.T) {
	t.Parallel()
	training, err := newTraining(quick().params, pages(), quick().budget)
	if err != nil {
		t.Fatal(err)
	}
	positions := pages().test[:scoreBatch+3]
	sum := 0.0
	for i := range positions {
		sum += mustScore(t, training, positions[i:i+1])
	}
	if all, mean := mustScore(t, training, positions), sum/float64(len(positions)); math.Abs(all-mean) > 1e-5 {
		t.Errorf("%g bits together, %g one by one", all, mean)
	}
}

func mustScore(t *testing.T, training *training, positions []int) float64 {
	t.Helper()
	bits, err := training.model.bitsPerByte(t.Context(), training.corpus, positions)
	if err != nil {
		t.Fatal(err)
	}
	return bits
}
