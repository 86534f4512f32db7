package main

import "math"

// pass holds the numbers of one batch on its way through a model and back.
// Every matrix has one row per example.
type pass struct {
	rows     int
	contexts []symbol // rows × context, oldest symbol first
	targets  []symbol // rows: the symbol to predict

	// values[i] is the input of layer i, and values[len(layers)] the output, the
	// logits: rows × width. deltas are the derivatives of the mean loss by them.
	values, deltas [][]float32
}

// newPass makes room for batches of up to rows examples.
func (m *model) newPass(rows int) *pass {
	b := &pass{contexts: make([]symbol, rows*m.context), targets: make([]symbol, rows)}
	b.addMatrix(rows * m.layers[0].in)
	for _, l := range m.layers {
		b.addMatrix(rows * l.out)
	}
	return b
}

func (b *pass) addMatrix(size int) {
	b.values = append(b.values, make([]float32, size))
	b.deltas = append(b.deltas, make([]float32, size))
}

// load fills the batch with the examples whose targets are at the given
// positions of the text. There may be fewer than the batch has room for.
func (b *pass) load(text []symbol, positions []int) {
	context := len(b.contexts) / len(b.targets)
	b.rows = len(positions)
	for r, at := range positions {
		copy(b.contexts[r*context:(r+1)*context], text[at-context:at])
		b.targets[r] = text[at]
	}
}

// forward computes the logits of every example of the batch.
func (m *model) forward(b *pass) {
	m.lookUp(b)
	for i := range m.layers {
		l := &m.layers[i]
		out := b.values[i+1][:b.rows*l.out]
		l.apply(out, b.values[i], b.rows)
		if i < len(m.layers)-1 {
			m.activate(out)
		}
	}
}

// lookUp lays the table rows of the context symbols side by side.
func (m *model) lookUp(b *pass) {
	e := m.embedding
	for i, s := range b.contexts[:b.rows*m.context] {
		copy(b.values[0][i*e:(i+1)*e], m.table[int(s)*e:])
	}
}

// apply sets out, rows × l.out, to in·weights + bias.
func (l *layer) apply(out, in []float32, rows int) {
	for r := range rows {
		copy(out[r*l.out:(r+1)*l.out], l.bias)
	}
	addProduct(out, asMatrix(in, rows, l.in), l.weights, l.out)
}

// activate applies the activation function to every value.
func (m *model) activate(values []float32) {
	if m.activation == "tanh" {
		for i, v := range values {
			values[i] = tanh(v)
		}
		return
	}
	for i, v := range values {
		values[i] = max(v, 0)
	}
}

// loss turns the logits into the derivative of the mean loss by them, and
// returns the sum over the batch of -ln p(target), in nats. With softmax and
// cross-entropy that derivative is p minus one at the target.
func (m *model) loss(b *pass) float64 {
	n, last := m.symbols, len(m.layers)
	share := 1 / float32(b.rows)
	total := 0.0
	for r, target := range b.targets[:b.rows] {
		p := b.deltas[last][r*n : (r+1)*n]
		total += softmax(p, b.values[last][r*n:(r+1)*n], int(target))
		p[target]--
		for j := range p {
			p[j] *= share
		}
	}
	return total
}

// softmax sets p to the probabilities that the logits stand for, and returns
// -ln p[target] in nats.
func softmax(p, logits []float32, target int) float64 {
	highest := logits[0]
	for _, v := range logits {
		if v > highest {
			highest = v
		}
	}
	p = p[:len(logits)]
	var sum float32
	for j, v := range logits {
		p[j] = expNegative(v - highest)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return math.Log(float64(sum)) - float64(logits[target]-highest)
}

// backward sets m.grads to the derivatives of the mean loss, after forward and
// loss on the same batch (back-propagation; Rumelhart et al., 1986).
func (m *model) backward(b *pass) {
	clear(m.grads)
	for i := len(m.layers) - 1; i >= 0; i-- {
		l := &m.layers[i]
		l.backward(b.deltas[i], b.values[i], b.deltas[i+1], b.rows)
		if i > 0 {
			m.backActivate(b.deltas[i][:b.rows*l.in], b.values[i])
		}
	}
	m.backLookUp(b)
}

// backward adds to the gradients of the layer, and sets inDelta, rows × l.in,
// from delta, rows × l.out.
func (l *layer) backward(inDelta, in, delta []float32, rows int) {
	addProduct(l.weightsGrad, asMatrix(in, rows, l.in).transposed(), delta, l.out)
	for r := range rows {
		addScaled(l.biasGrad, 1, delta[r*l.out:(r+1)*l.out])
	}
	l.transpose()
	clear(inDelta)
	addProduct(inDelta, asMatrix(delta, rows, l.out), l.transposed, l.in)
}

// transpose refreshes the transposed copy of the weights, with which the
// backward pass can use the same kernel as the forward pass.
func (l *layer) transpose() {
	for i := range l.in {
		for j, w := range l.weights[i*l.out : (i+1)*l.out] {
			l.transposed[j*l.in+i] = w
		}
	}
}

// backActivate multiplies delta by the slope of the activation, which is a
// function of its output: 1-y² for tanh, 0 or 1 for the rectifier.
func (m *model) backActivate(delta, output []float32) {
	if m.activation == "tanh" {
		for i := range delta {
			delta[i] *= 1 - output[i]*output[i]
		}
		return
	}
	for i := range delta {
		if output[i] <= 0 {
			delta[i] = 0
		}
	}
}

// backLookUp adds the input's derivatives to the table rows they came from.
func (m *model) backLookUp(b *pass) {
	e := m.embedding
	for i, s := range b.contexts[:b.rows*m.context] {
		addScaled(m.tableGrad[int(s)*e:(int(s)+1)*e], 1, b.deltas[0][i*e:(i+1)*e])
	}
}
