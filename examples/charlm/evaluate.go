package main

import (
	"context"
	"fmt"
	"math"
)

// scoreBatch is how many examples are scored at a time; it changes the speed,
// not the score.
const scoreBatch = 64

// bitsPerByte is the mean of -log2 p(byte) at the given positions: how many bits
// an ideal coder that asks this model would spend on each byte.
func (m *model) bitsPerByte(ctx context.Context, c *corpus, positions []int) (float64, error) {
	b := m.newPass(scoreBatch)
	bits := 0.0
	for low := 0; low < len(positions); low += scoreBatch {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("stopped while scoring: %w", context.Cause(ctx))
		}
		b.load(c.text, positions[low:min(low+scoreBatch, len(positions))])
		m.forward(b)
		bits += m.loss(b)/math.Ln2 + c.rareBits(b)
	}
	return bits / float64(len(positions)), nil
}

// rareBits is what it costs to name the rare bytes among the targets.
func (c *corpus) rareBits(b *pass) float64 {
	bits := 0.0
	for _, s := range b.targets[:b.rows] {
		if c.vocabulary.isOther(s) {
			bits += c.vocabulary.rareBits
		}
	}
	return bits
}
