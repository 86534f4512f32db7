package main

import (
	_ "embed"
	"math"
)

// opticks is Isaac Newton's "Opticks", fourth edition of 1730, as plain text.
// It is compiled into the program, so that an experiment needs nothing but its
// own binary.
//
//go:embed Isaac.Newton-Opticks.txt
var opticks []byte

// The splits, by position in the book. The book is cut into sections of equal
// length, and each section into three runs of bytes: the first 80 percent train
// the model, the next 10 validate it (all that the search sees), the last 10
// test it (the search never sees them). Every split thus has some of every
// chapter, yet no byte is in two splits.
const (
	sections          = 20
	trainPercent      = 80
	validationPercent = 10
)

// validationSample is how many bytes of the validation split are scored. They
// are evenly spaced, and the same in every experiment.
const validationSample = 8192

// minimumCount is how often a byte must occur in the training split to get a
// symbol of its own. Rarer bytes share one symbol, "other".
const minimumCount = 20

// symbol is the index of a byte in the vocabulary.
type symbol = uint8

// corpus is a text as symbols, with the positions of the symbols to predict in
// each split. A position has maxContext symbols of its own split before it,
// whatever context the model reads: all models are scored on the same bytes,
// and no context reaches into another split.
type corpus struct {
	vocabulary              vocabulary
	text                    []symbol
	train, validation, test []int
}

// newCorpus splits a text, and encodes it with the vocabulary of its training
// split alone.
func newCorpus(text []byte) *corpus {
	var c corpus
	var seen []byte
	for i := range sections {
		low, high := len(text)*i/sections, len(text)*(i+1)/sections
		first := low + (high-low)*trainPercent/100
		second := low + (high-low)*(trainPercent+validationPercent)/100
		seen = append(seen, text[low:first]...)
		c.train = appendPositions(c.train, low, first)
		c.validation = appendPositions(c.validation, first, second)
		c.test = appendPositions(c.test, second, high)
	}
	c.validation = evenlySpaced(c.validation, validationSample)
	c.vocabulary = newVocabulary(seen)
	c.text = c.vocabulary.encode(text)
	return &c
}

// appendPositions adds those positions of the run [low, high) that have a full
// context within the run.
func appendPositions(positions []int, low, high int) []int {
	for at := low + maxContext; at < high; at++ {
		positions = append(positions, at)
	}
	return positions
}

// evenlySpaced picks count of the positions, or all if there are fewer.
func evenlySpaced(positions []int, count int) []int {
	count = min(count, len(positions))
	picked := make([]int, count)
	for i := range picked {
		picked[i] = positions[i*len(positions)/count]
	}
	return picked
}

// vocabulary maps the 256 bytes to fewer symbols, the last of which stands for
// every rare byte.
type vocabulary struct {
	symbolOf [256]symbol
	size     int     // number of symbols, "other" included
	rareBits float64 // bits that tell which of the rare bytes an "other" is
}

// newVocabulary gives a symbol to every byte that is frequent in text, and one
// more to all others. Naming one byte among those others costs log2 of their
// number, so that the probabilities of all 256 bytes sum to one and bits per
// byte stay comparable with any other model of the same bytes.
func newVocabulary(text []byte) vocabulary {
	var v vocabulary
	var frequent [256]bool
	for b, n := range countBytes(text) {
		if n >= minimumCount {
			frequent[b] = true
			v.symbolOf[b] = symbol(v.size)
			v.size++
		}
	}
	v.rareBits = math.Log2(float64(256 - v.size))
	for b, is := range frequent {
		if !is {
			v.symbolOf[b] = symbol(v.size)
		}
	}
	v.size++
	return v
}

// countBytes counts how often each byte occurs.
func countBytes(text []byte) (count [256]int) {
	for _, b := range text {
		count[b]++
	}
	return count
}

// encode maps bytes to symbols.
func (v *vocabulary) encode(text []byte) []symbol {
	symbols := make([]symbol, len(text))
	for i, b := range text {
		symbols[i] = v.symbolOf[b]
	}
	return symbols
}

// isOther says whether s is the symbol that the rare bytes share.
func (v *vocabulary) isOther(s symbol) bool { return int(s) == v.size-1 }
