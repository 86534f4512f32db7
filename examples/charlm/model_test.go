package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGradient compares every derivative that the backward pass computes with a
// central difference of the loss.
func TestGradient(t *testing.T) {
	t.Parallel()
	for _, activation := range []string{"tanh", "relu"} {
		for _, layers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s-%d", activation, layers), func(t *testing.T) {
				t.Parallel()
				p := defaultParams()
				p.Context, p.Embedding, p.Hidden, p.Layers, p.Activation = 3, 2, 8, layers, activation
				m := newModel(p, 5, rand.New(rand.NewPCG(3, uint64(layers))))
				checkGradient(t, m, m.tinyBatch())
			})
		}
	}
}

// tinyBatch is three examples from a text of five symbols, one of them twice in
// a context.
func (m *model) tinyBatch() *pass {
	b := m.newPass(4)
	b.load([]symbol{0, 1, 1, 4, 2, 3, 0, 2}, []int{3, 5, 7})
	return b
}

func checkGradient(t *testing.T, m *model, b *pass) {
	t.Helper()
	const shift, tolerance = 5e-3, 1e-3
	m.forward(b)
	m.loss(b)
	m.backward(b)
	for i, got := range m.grads {
		value := m.values[i]
		m.values[i] = value + shift
		above := m.meanLoss(b)
		m.values[i] = value - shift
		below := m.meanLoss(b)
		m.values[i] = value
		want := (above - below) / (2 * shift)
		if math.Abs(float64(got)-want) > tolerance*(1+math.Abs(want)) {
			t.Errorf("parameter %d: derivative %g, by differences %g", i, got, want)
		}
	}
}

func (m *model) meanLoss(b *pass) float64 {
	m.forward(b)
	return m.loss(b) / float64(b.rows)
}

// TestSoftmax checks that the probabilities sum to one and that the loss is the
// logarithm of the target's, also for logits far apart.
func TestSoftmax(t *testing.T) {
	t.Parallel()
	for _, logits := range [][]float32{{0, 0, 0}, {1, -2, 3}, {1000, -1000, 999}} {
		p := make([]float32, len(logits))
		nats := softmax(p, logits, 2)
		if sum := p[0] + p[1] + p[2]; math.Abs(float64(sum)-1) > 1e-6 {
			t.Errorf("%v: probabilities sum to %g", logits, sum)
		}
		if want := -math.Log(float64(p[2])); math.Abs(nats-want) > 1e-5 {
			t.Errorf("%v: %g nats, want %g", logits, nats, want)
		}
	}
}

// TestBitsPerByteOfIgnorance checks the unit of the metric: a model that finds
// all symbols equally likely spends log2 of their number on each byte, and the
// bits of the name on top where the byte is a rare one.
func TestBitsPerByteOfIgnorance(t *testing.T) {
	t.Parallel()
	c := book()
	m := newModel(defaultParams(), c.vocabulary.size, rand.New(rand.NewPCG(1, 0)))
	clear(m.values)
	rare := slices.IndexFunc(c.test, func(at int) bool { return c.vocabulary.isOther(c.text[at]) })
	for _, test := range []struct {
		position int
		want     float64
	}{
		{c.test[0], math.Log2(float64(c.vocabulary.size))},
		{c.test[rare], math.Log2(float64(c.vocabulary.size)) + c.vocabulary.rareBits},
	} {
		got, err := m.bitsPerByte(t.Context(), c, []int{test.position})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-test.want) > 1e-5 {
			t.Errorf("byte %q: %g bits, want %g", opticks[test.position], got, test.want)
		}
	}
}
