package main

import (
	"math"
	"math/rand/v2"
)

// model is the neural language model of Bengio et al., "A Neural Probabilistic
// Language Model" (JMLR 3, 2003), on bytes instead of words: the symbols of the
// context are looked up in one shared table, laid side by side, and sent
// through one or two hidden layers to a softmax over the next symbol. The
// optional direct connections of the paper are left out.
//
// All parameters lie in one slice and their gradients in another; the table and
// the layers are windows into the two. An optimizer sees only the two slices.
type model struct {
	context, embedding, symbols int
	activation                  string
	values, grads               []float32
	table, tableGrad            []float32 // symbols × embedding
	layers                      []layer   // the hidden ones, then the output
}

// layer is one affine map, y = x·weights + bias.
type layer struct {
	in, out              int
	weights, weightsGrad []float32 // in × out
	bias, biasGrad       []float32 // out
	transposed           []float32 // out × in: weights, for the backward pass
}

// newModel builds the model that p describes for a vocabulary of the given
// size, with random initial weights.
func newModel(p params, symbols int, random *rand.Rand) *model {
	m := &model{context: p.Context, embedding: p.Embedding, symbols: symbols, activation: p.Activation}
	sizes := layerSizes(p, symbols)
	total := symbols * p.Embedding
	for i := range len(sizes) - 1 {
		total += (sizes[i] + 1) * sizes[i+1]
	}
	m.values, m.grads = make([]float32, total), make([]float32, total)
	m.carve(sizes)
	m.initialise(float32(p.InitScale), random)
	return m
}

// layerSizes lists the width of the input, of each hidden layer and of the
// output.
func layerSizes(p params, symbols int) []int {
	sizes := []int{p.Context * p.Embedding}
	for range p.Layers {
		sizes = append(sizes, p.Hidden)
	}
	return append(sizes, symbols)
}

// carve cuts the two flat slices into the table and the layers.
func (m *model) carve(sizes []int) {
	values, grads := m.values, m.grads
	take := func(n int) (value, grad []float32) {
		value, grad = values[:n:n], grads[:n:n]
		values, grads = values[n:], grads[n:]
		return value, grad
	}
	m.table, m.tableGrad = take(m.symbols * m.embedding)
	for i := range len(sizes) - 1 {
		l := layer{in: sizes[i], out: sizes[i+1], transposed: make([]float32, sizes[i]*sizes[i+1])}
		l.weights, l.weightsGrad = take(l.in * l.out)
		l.bias, l.biasGrad = take(l.out)
		m.layers = append(m.layers, l)
	}
}

// initialise draws the table from a normal distribution of standard deviation
// scale, and the weights of a layer from one of scale/√in, so that a sum over
// the inputs has the size of one input (LeCun et al., "Efficient BackProp",
// 1998). Biases stay zero.
func (m *model) initialise(scale float32, random *rand.Rand) {
	fillNormal(m.table, scale, random)
	for _, l := range m.layers {
		fillNormal(l.weights, scale/float32(math.Sqrt(float64(l.in))), random)
	}
}

// fillNormal draws every value from a normal distribution around zero.
func fillNormal(values []float32, deviation float32, random *rand.Rand) {
	for i := range values {
		values[i] = deviation * float32(random.NormFloat64())
	}
}
