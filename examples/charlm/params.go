package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxContext is the longest context, in bytes, that a model may read.
const maxContext = 16

// params are the choices of one experiment. The zero value is not usable; start
// from defaultParams.
type params struct {
	Context    int     `json:"context"`    // bytes read to predict the next one
	Embedding  int     `json:"embedding"`  // numbers that stand for one byte
	Hidden     int     `json:"hidden"`     // units in each hidden layer
	Layers     int     `json:"layers"`     // hidden layers
	Activation string  `json:"activation"` // of the hidden units
	InitScale  float64 `json:"init_scale"` // factor on the initial weights
	Optimizer  string  `json:"optimizer"`  // rule that updates the weights
	LR         float64 `json:"lr"`         // highest learning rate
	Schedule   string  `json:"schedule"`   // of the learning rate over the run
	Batch      int     `json:"batch"`      // examples per step
	Seed       int     `json:"seed"`       // of initial weights and of batches
}

// defaultParams is the baseline: what a newcomer would write down first. The
// README gives the reason for each.
func defaultParams() params {
	return params{
		Context: 8, Embedding: 16, Hidden: 64, Layers: 1, Activation: "tanh",
		InitScale: 1, Optimizer: "sgd", LR: 0.1, Schedule: "constant", Batch: 32,
		Seed: 1,
	}
}

// field describes one parameter: its name in a payload and on the command
// line, where its value lives and what it may be. One of whole, real and word
// is set, and says of which type it is.
type field struct {
	name, meaning string
	whole         *int
	real          *float64
	word          *string
	low, high     float64  // range of a number, both ends allowed
	choices       []string // the words allowed
}

// fields lists every parameter of p, in the order of the README.
func (p *params) fields() []field {
	whole := func(name, meaning string, v *int, low, high float64) field {
		return field{name: name, meaning: meaning, whole: v, low: low, high: high}
	}
	real := func(name, meaning string, v *float64, low, high float64) field {
		return field{name: name, meaning: meaning, real: v, low: low, high: high}
	}
	word := func(name, meaning string, v *string, choices ...string) field {
		return field{name: name, meaning: meaning, word: v, choices: choices}
	}
	return []field{
		whole("context", "bytes read to predict the next one", &p.Context, 1, maxContext),
		whole("embedding", "numbers that stand for one byte", &p.Embedding, 2, 32),
		whole("hidden", "units in each hidden layer", &p.Hidden, 8, 192),
		whole("layers", "hidden layers", &p.Layers, 1, 2),
		word("activation", "of the hidden units", &p.Activation, "tanh", "relu"),
		real("init_scale", "factor on the initial weights", &p.InitScale, 0.05, 3),
		word("optimizer", "rule that updates the weights", &p.Optimizer, "sgd", "momentum", "adam"),
		real("lr", "highest learning rate", &p.LR, 1e-5, 2),
		word("schedule", "of the learning rate over the run", &p.Schedule, "constant", "linear", "cosine"),
		whole("batch", "examples per step", &p.Batch, 4, 256),
		whole("seed", "of initial weights and of batches", &p.Seed, 0, 1e9),
	}
}

// readPayload sets the parameters that a JSON object names, and reports every
// one that is unknown or out of range.
func (p *params) readPayload(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var payload map[string]any
	if err := decoder.Decode(&payload); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(payload)) {
		if err := p.set(name, payload[name]); err != nil {
			problems = append(problems, fmt.Errorf("payload.%s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

// set gives the named parameter a value decoded from JSON.
func (p *params) set(name string, value any) error {
	fields := p.fields()
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	if i < 0 {
		return fmt.Errorf("unknown parameter; known are %s", fieldNames(fields))
	}
	text := fmt.Sprint(value)
	switch value.(type) {
	case json.Number, string:
		if err := fields[i].parse(text); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		return nil
	}
	return fmt.Errorf("%q: %w", text, fields[i].refusal())
}

func fieldNames(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// parse sets the parameter from its text, if that is an allowed value.
func (f field) parse(text string) error {
	if f.word != nil {
		if !slices.Contains(f.choices, text) {
			return f.refusal()
		}
		*f.word = text
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= f.low && v <= f.high) {
		return f.refusal()
	}
	return f.setNumber(v)
}

// setNumber stores a number that is in range.
func (f field) setNumber(v float64) error {
	if f.real != nil {
		*f.real = v
		return nil
	}
	if v != math.Trunc(v) {
		return f.refusal()
	}
	*f.whole = int(v)
	return nil
}

// refusal is the error of a value that is not allowed: it says what is.
func (f field) refusal() error {
	return fmt.Errorf("want %s", f.allowed())
}

// allowed describes the values that the parameter may take.
func (f field) allowed() string {
	switch {
	case f.word != nil:
		return "one of " + strings.Join(f.choices, ", ")
	case f.whole != nil:
		return fmt.Sprintf("a whole number from %.0f to %.0f", f.low, f.high)
	}
	return fmt.Sprintf("a number from %g to %g", f.low, f.high)
}

// text is the present value, as it would be typed.
func (f field) text() string {
	switch {
	case f.word != nil:
		return *f.word
	case f.whole != nil:
		return strconv.Itoa(*f.whole)
	}
	return strconv.FormatFloat(*f.real, 'g', -1, 64)
}
