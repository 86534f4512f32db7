package coordinator

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// In half of the histories the server takes small messages only. What is larger then goes through the object store.
const simPayloadSmall = 8 << 10

// simInlineMax is what a simulated worker sends in a message.
const simInlineMax = 1 << 10

// fill is what makes a payload or a result too large for a small message.
var fill = strings.Repeat("x", 3<<10)

// payload draws the payload of a task; one that is large differs from all others.
func (w *simulation) payload() spec.Payload {
	if w.payloadMax == simPayloadSmall && w.number(4) == 0 {
		return spec.Payload(fmt.Sprintf(`{"n":%d,"fill":"%s"}`, w.specs, fill))
	}
	if w.smallRecords() && w.number(2) == 0 {
		return spec.Payload(`{"n":1,"fill":"` + fill[:300] + `"}`)
	}
	return spec.Payload(`{"n":1}`)
}

// output draws the output of a result. Where records are small, that of a success is often so large that two of them make
// a series.
func (w *simulation) output(failure *spec.FailureRecord) []byte {
	switch {
	case w.payloadMax == simPayloadSmall && w.number(4) == 0:
		return []byte(`{"fill":"` + fill + `"}`)
	case failure == nil && w.smallRecords() && w.number(2) == 0:
		return []byte(`{"fill":"` + fill[:300] + `"}`)
	}
	return nil
}

// fetch gets an attempt's payload and then runs it.
func (k *simWorker) fetch(a *simAttempt) {
	stored := a.task.Stored
	if stored.IsZero() {
		k.execute(a)
		return
	}
	if !k.reaches() {
		k.after(time.Second, func() { k.fetch(a) })
		return
	}
	payload, err := k.w.server.GetBlob(simRun, stored.Digest)
	if err != nil || !stored.Names(payload) || !bytes.Equal(payload, k.w.check.payloads[a.ref.Task]) {
		k.w.check.fail("%s runs without the payload that was submitted: %v", refName(a.ref), err)
		return
	}
	k.execute(a)
}

// store puts a large result into the object store before its name is sent.
func (k *simWorker) upload(r *simResult) error {
	if r.large == nil {
		return nil
	}
	if !k.reaches() || k.w.chance(k.w.plan.lost) {
		return errSilence
	}
	err := k.w.server.PutBlob(simRun, r.large, bus.BlobRenewAfterDefault)
	if errors.Is(err, bus.ErrMissing) {
		return errSilence // the leader makes the bucket
	}
	return err
}

// garble sends a result cut short, as one that goes wrong on the way, or that its worker cannot write.
func (k *simWorker) garble(r *simResult) error {
	data, err := bus.EncodeResultMessage(&bus.ResultMessage{Version: bus.MessageVersion, Worker: k.id, Boot: k.boot, Reports: []bus.Report{r.report}})
	if err != nil {
		panic(err)
	}
	k.w.check.garbled[r.ref.Claim]++
	return k.w.server.PublishRaw(simRun, k.id, data[:len(data)-1-k.w.number(min(40, len(data)/2))])
}

// blobStored notes what is in the object store.
func (c *checker) blobStored(m model.Stored) {
	_, text, _ := strings.Cut(m.Subject, "/")
	if digest, err := spec.ParseDigest(text); err == nil {
		c.blobs[digest] = true
		c.seen["blobs"]++
	}
}

// named holds that what a record names was stored before it.
func (c *checker) named(t *spec.Task) {
	for _, b := range []spec.Blob{t.Spec.Stored, storedBody(t.Outcome)} {
		if !b.IsZero() && !c.blobs[b.Digest] {
			c.fail("record %d: task %q names a blob that is not in the object store: %s", c.seq, t.Spec.ID, b)
		}
	}
}

func storedBody(o *spec.Outcome) spec.Blob {
	if o == nil {
		return spec.Blob{}
	}
	return o.Stored
}

// isReport reports whether an outcome is what a worker reported.
func isReport(o *spec.Outcome, r *bus.Report) bool {
	switch {
	case !o.Stored.IsZero():
		return o.Stored == r.Stored || o.Stored.Names(r.Body)
	case !r.Stored.IsZero():
		return false
	}
	return bytes.Equal(r.Body, o.Body)
}

// unusable reports whether an outcome is that of a result which cannot be used: rubbish, or cut short again and again.
func (c *checker) unusable(o *spec.Outcome) bool {
	cause := o.Failure.Cause()
	return (cause == spec.CauseBadResult || cause == spec.CauseCancelled) && o.Body == nil &&
		(c.rubbish[o.Claim] || c.garbled[o.Claim] >= faultsMax)
}
