package main

import (
	"math"
	"slices"
	"sync"
	"testing"
)

// book is the corpus of the experiment; tests only read it.
var book = sync.OnceValue(func() *corpus { return newCorpus(opticks) })

func TestSplitsDoNotOverlap(t *testing.T) {
	t.Parallel()
	c := book()
	splits := []struct {
		name      string
		positions []int
	}{{"train", c.train}, {"validation", c.validation}, {"test", c.test}}
	owner := make([]string, len(c.text))
	for _, split := range splits {
		for _, at := range split.positions {
			for i := at - maxContext; i <= at; i++ {
				if owner[i] != "" && owner[i] != split.name {
					t.Fatalf("byte %d is read by %s and by %s", i, owner[i], split.name)
				}
				owner[i] = split.name
			}
		}
	}
}

func TestSplitsHaveTheDocumentedSizes(t *testing.T) {
	t.Parallel()
	c := book()
	whole := float64(len(opticks))
	if share := float64(len(c.train)) / whole; math.Abs(share-0.80) > 0.01 {
		t.Errorf("train is %.3f of the book", share)
	}
	if share := float64(len(c.test)) / whole; math.Abs(share-0.10) > 0.02 {
		t.Errorf("test is %.3f of the book", share)
	}
	if len(c.validation) != validationSample || !slices.IsSorted(c.validation) {
		t.Errorf("validation has %d positions, want %d in order", len(c.validation), validationSample)
	}
}

func TestVocabularyComesFromTrainingAlone(t *testing.T) {
	t.Parallel()
	text := slices.Repeat([]byte("ab"), 5000)
	low := len(text) * 85 / 100 / sections // in the validation run of the first section
	for i := range 40 {
		text[low+i] = 'z'
	}
	v := newCorpus(text).vocabulary
	if v.size != 3 { // a, b and other
		t.Errorf("%d symbols, want 3", v.size)
	}
	if s := v.symbolOf['z']; !v.isOther(s) {
		t.Errorf("a byte that training never saw has symbol %d of its own", s)
	}
	if v.symbolOf['a'] == v.symbolOf['b'] {
		t.Error("two frequent bytes share a symbol")
	}
	if want := math.Log2(254); v.rareBits != want {
		t.Errorf("a rare byte costs %g bits, want %g", v.rareBits, want)
	}
}

func TestEvenlySpaced(t *testing.T) {
	t.Parallel()
	for count, want := range map[int][]int{0: {}, 2: {10, 12}, 4: {10, 11, 12, 13}, 9: {10, 11, 12, 13}} {
		if got := evenlySpaced([]int{10, 11, 12, 13}, count); !slices.Equal(got, want) {
			t.Errorf("%d of four positions: %v, want %v", count, got, want)
		}
	}
}
