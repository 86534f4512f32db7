package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
)

// errDiverged says that training broke down: the loss is no longer a number.
var errDiverged = errors.New("training diverged")

// training is one model on its way through its steps.
type training struct {
	params    params
	corpus    *corpus
	model     *model
	optimizer *optimizer
	random    *rand.Rand // of initial weights, then of batches
	pass      *pass
	positions []int // of the present batch
	step      int   // steps done
	steps     int   // steps to do
}

// newTraining makes an untrained model and counts the steps that the budget
// pays for. Equal parameters give equal runs: one seeded generator (PCG) is the
// only source of chance.
func newTraining(p params, c *corpus, budget float64) (*training, error) {
	random := rand.New(rand.NewPCG(uint64(p.Seed), 0))
	m := newModel(p, c.vocabulary.size, random)
	steps, err := m.steps(p, budget, len(c.validation))
	if err != nil {
		return nil, err
	}
	return &training{
		params: p, corpus: c, model: m, random: random, steps: steps,
		optimizer: newOptimizer(p.Optimizer, len(m.values)),
		pass:      m.newPass(p.Batch), positions: make([]int, p.Batch),
	}, nil
}

// runExperiment trains one model on c, writes progress lines that the engine
// reads, and returns the result.
func runExperiment(ctx context.Context, o options, c *corpus, progress io.Writer) (result, error) {
	t, err := newTraining(o.params, c, o.budget)
	if err != nil {
		return result{}, err
	}
	metrics := map[string]float64{"parameters": float64(len(t.model.values)), "steps": float64(t.steps)}
	for i := range reports {
		if err := t.advance(ctx, t.steps*(i+1)/reports, metrics); err != nil {
			return result{}, err
		}
		if err := printProgress(progress, t.step, metrics); err != nil {
			return result{}, err
		}
	}
	if o.evalTest {
		err = t.judge(ctx, metrics, progress)
	}
	return result{Metrics: metrics, Children: []any{}, Output: output{o.params, o.budget}}, err
}

// advance trains up to the given step, and scores the model on the validation
// split.
func (t *training) advance(ctx context.Context, upTo int, metrics map[string]float64) error {
	trained, err := t.trainTo(ctx, upTo)
	if err != nil {
		return err
	}
	scored, err := t.model.bitsPerByte(ctx, t.corpus, t.corpus.validation)
	if err != nil {
		return err
	}
	if sum := trained + scored; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("%w before step %d: the loss is not finite; try a lower lr", errDiverged, t.step)
	}
	metrics["train_bpb"], metrics["val_bpb"] = trained, scored
	return nil
}

// trainTo trains up to the given step, and returns the mean bits per byte of
// the batches on the way, each before it was learnt from.
func (t *training) trainTo(ctx context.Context, upTo int) (float64, error) {
	from, bits := t.step, 0.0
	for t.step < upTo {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("stopped after %d steps: %w", t.step, context.Cause(ctx))
		}
		bits += t.takeStep()
	}
	return bits / float64(upTo-from), nil
}

// takeStep trains on one batch of random positions, and returns its mean bits
// per byte before the step.
func (t *training) takeStep() float64 {
	for i := range t.positions {
		t.positions[i] = t.corpus.train[t.random.IntN(len(t.corpus.train))]
	}
	t.pass.load(t.corpus.text, t.positions)
	t.model.forward(t.pass)
	nats := t.model.loss(t.pass)
	t.model.backward(t.pass)
	rate := t.params.LR * rateFactor(t.params.Schedule, float64(t.step)/float64(t.steps))
	t.optimizer.step(t.model.values, t.model.grads, rate)
	t.step++
	return (nats/math.Ln2 + t.corpus.rareBits(t.pass)) / float64(t.params.Batch)
}

// judge adds test_bpb, over the whole test split, to the metrics.
func (t *training) judge(ctx context.Context, metrics map[string]float64, progress io.Writer) error {
	score, err := t.model.bitsPerByte(ctx, t.corpus, t.corpus.test)
	if err != nil {
		return err
	}
	metrics["test_bpb"] = score
	return printProgress(progress, t.step, metrics)
}
