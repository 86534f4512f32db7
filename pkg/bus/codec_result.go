package bus

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"autoresearch/pkg/spec"
)

// ResultVersion is the version of the encoded TaskResult that this build writes. Readers accept any and ignore fields
// they do not know.
const ResultVersion = 1

// EncodeResult returns a TaskResult as Report.Body and Outcome.Body hold it:
// v version, c children, m metrics, o output (its JSON text), f failure, a attempt, w worker, h host, s started,
// d duration, r series, R the blob of all their points, A artifacts, g hardware, k code, C cost. It refuses children that
// spec.TaskSpec.Validate refuses, and an output that is not a JSON object.
func EncodeResult(r spec.TaskResult) ([]byte, error) {
	if err := checkResult(&r); err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	size := 128 + len(r.Output)
	for i := range r.Children {
		size += 64 + len(r.Children[i].Payload)
	}
	w := wire{out: make([]byte, 0, size)}
	mark := w.openMap()
	fieldInt(&w, "v", ResultVersion)
	fieldList(&w, "c", r.Children, (*wire).taskSpec)
	w.fieldMetrics("m", r.Metrics)
	fieldBytes(&w, "o", r.Output)
	w.fieldFailure("f", r.Failure)
	fieldUint(&w, "a", r.Attempt)
	fieldText(&w, "w", r.Worker)
	fieldText(&w, "h", r.Host)
	w.fieldTime("s", r.Started)
	fieldInt(&w, "d", r.Duration)
	fieldList(&w, "r", r.Series, (*wire).series)
	w.fieldBlob("R", r.SeriesStored)
	fieldList(&w, "A", r.Artifacts, (*wire).artifact)
	w.fieldHardware("g", r.Hardware)
	w.fieldCode("k", r.Code)
	fieldInt(&w, "C", r.Cost)
	w.closeMap(mark)
	return w.out, nil
}

// DecodeResult reads what EncodeResult wrote. It refuses the same as EncodeResult: the bytes may come from anywhere.
// Payloads and the output come back without white space, and the result never refers to data.
func DecodeResult(data []byte) (spec.TaskResult, error) {
	c := newCursor("result", data)
	r := spec.TaskResult{}
	c.fields(nil, func(key []byte) bool { return c.resultField(&r, key) })
	if c.err != nil {
		return spec.TaskResult{}, c.err
	}
	if err := compactResult(&r); err != nil {
		return spec.TaskResult{}, fmt.Errorf("decode result: %w", err)
	}
	return r, nil
}

// CheckResult walks an encoded result, as it came from a worker, without taking memory for it. It refuses, as a
// *FormatError, what is malformed, and more than a result may hold, so that reading it afterwards is safe; and it returns
// how many children there are, of which more than limit are not looked at.
func CheckResult(data []byte, limit int) (children int, err error) {
	c := newCursor("result", data)
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "c":
			children = c.checkChildren(limit)
		case "m":
			c.checkMetrics()
		case "f":
			sized(c, failureMax, func() bool { c.skip(1); return true })
		case "r":
			sized(c, seriesInlineMax, func() bool { c.skip(1); return true })
		case "A":
			sized(c, artifactsMax, func() bool { c.skip(1); return true })
		default:
			return false
		}
		return true
	})
	return children, c.err
}

func (c *cursor) checkChildren(limit int) int {
	ahead := *c
	if children := ahead.arrayLen(); children > limit {
		c.skip(1)
		return children
	}
	children := c.arrayLen()
	for n := children; n > 0 && c.err == nil; n-- {
		c.fields(nil, c.checkChild)
	}
	return children
}

// checkChild looks at one field of a child.
func (c *cursor) checkChild(key []byte) bool {
	switch string(key) {
	case "D":
		c.fail("a child whose payload lies in the object store")
	case "x":
		ahead := *c
		if n := ahead.arrayLen() / 2; n > unknownsMax {
			c.fail("a child with %d unknown keys, at most %d are taken", n, unknownsMax)
		}
	}
	return false
}

func (c *cursor) checkMetrics() {
	n := c.mapLen()
	if n > MetricsMax {
		c.fail("%d metrics, at most %d are taken", n, MetricsMax)
	}
	for ; n > 0 && c.err == nil; n-- {
		c.raw()
		c.float()
	}
}

// resultField reads a field. The output refers to data until compactResult, as does the payload of a child.
func (c *cursor) resultField(r *spec.TaskResult, key []byte) bool {
	switch string(key) {
	case "c":
		r.Children = list(c, c.child)
	case "m":
		r.Metrics = c.metrics()
	case "o":
		r.Output = json.RawMessage(c.raw())
	case "f":
		r.Failure = c.failure()
	case "a":
		r.Attempt = c.uint32()
	case "w":
		r.Worker = spec.WorkerID(c.text())
	case "h":
		r.Host = c.text()
	case "s":
		r.Started = c.time()
	case "d":
		r.Duration = time.Duration(c.int())
	case "r":
		r.Series = listOf(c, spec.SeriesMax, c.series)
	case "R":
		r.SeriesStored = c.blob()
	case "A":
		r.Artifacts = listOf(c, spec.ArtifactsMax, c.artifact)
	case "g":
		r.Hardware = c.hardware()
	case "k":
		r.Code = c.codeName()
	case "C":
		r.Cost = spec.Cost(c.uint(uint64(spec.CostReportedMax)))
	default:
		return false
	}
	return true
}

func (c *cursor) child() (s spec.TaskSpec) {
	c.fields(nil, func(key []byte) bool {
		if string(key) == "d" {
			s.Payload = spec.Payload(c.raw())
			return true
		}
		return c.specField(&s, key)
	})
	c.checkID(&s)
	return s
}

func checkResult(r *spec.TaskResult) error {
	for i := range r.Children {
		if err := r.Children[i].Validate(); err != nil {
			return fmt.Errorf("child %d: %w", i+1, err)
		}
	}
	if r.Output == nil {
		return nil
	}
	if _, err := spec.ParsePayload(r.Output); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// compactResult replaces the JSON texts by their checked, compact forms.
func compactResult(r *spec.TaskResult) error {
	if r.Output != nil {
		output, err := spec.ParsePayload(r.Output)
		if err != nil {
			return fmt.Errorf("output: %w", err)
		}
		r.Output = json.RawMessage(output)
	}
	for i := range r.Children {
		child := &r.Children[i]
		child.Stored, child.Code = spec.Blob{}, spec.Code{} // not for workers to say
		payload := child.Payload
		child.Payload = nil // ParsePayload looks at it
		if err := child.Validate(); err != nil {
			return fmt.Errorf("child %d: %w", i+1, err)
		}
		if payload == nil {
			continue
		}
		var err error
		if child.Payload, err = spec.ParsePayload(payload); err != nil {
			return fmt.Errorf("child %q: payload: %w", child.ID, err)
		}
	}
	return nil
}

// artifact: p path, s size, b blob, o why it was omitted.
func (w *wire) artifact(a *spec.Artifact) {
	mark := w.openMap()
	fieldText(w, "p", a.Path)
	fieldInt(w, "s", a.Size)
	w.fieldBlob("b", a.Stored)
	fieldText(w, "o", a.Omitted)
	w.closeMap(mark)
}

func (c *cursor) artifact() (a spec.Artifact) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "p":
			a.Path = c.text()
		case "s":
			a.Size = int64(c.uint(math.MaxInt64))
		case "b":
			a.Stored = c.blob()
		case "o":
			a.Omitted = c.text()
		default:
			return false
		}
		return true
	})
	return a
}
