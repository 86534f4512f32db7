package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// What is too large for a message goes through the object store: a payload and an input on their way here, a result on its
// way back. The spool then holds the result's name, and a file of its own in largeDirName its bytes, until it is receipted.

// largeDirName is the folder of large results below Options.Dir.
const largeDirName = "large"

// largeRate is the slowest transfer of a blob that is waited for, in bytes a second, on top of publishTimeout.
const largeRate = 1 << 20

func (w *worker) largePath(b spec.Blob) string {
	return filepath.Join(w.o.Dir, largeDirName, b.Digest.String())
}

// fetch gets what of a dispatch lies in the object store. It outlasts a server that is away for as long as the attempt may
// go on; what is not there, or other than it should be, is the attempt's failure.
func (w *worker) fetch(a *attempt) *spec.FailureRecord {
	d := a.dispatch
	if !d.Task.Stored.IsZero() {
		payload, err := w.get(a, d.Task.Stored)
		if err != nil {
			return notFetched("payload", d.Task.Stored, err)
		}
		d.Task.Payload = payload
	}
	if !d.Stdin.IsZero() {
		input, err := w.get(a, d.Stdin)
		if err != nil {
			return notFetched("input", d.Stdin, err)
		}
		d.Recipe.Stdin = input
	}
	if !d.Task.Code.IsZero() {
		if err := w.fetchCode(a); err != nil {
			return notFetched("code", d.Task.Code.Bundle, err)
		}
	}
	return nil
}

func notFetched(what string, b spec.Blob, err error) *spec.FailureRecord {
	f := launchFailure(fmt.Sprintf("its %s, blob %s, cannot be had: %v", what, b, err), false)
	f.Details["cause"] = spec.CauseBlobMissing
	return f
}

// get tries until the attempt is asked to end.
func (w *worker) get(a *attempt, b spec.Blob) ([]byte, error) {
	for failures := 1; ; failures++ {
		ctx, cancel := context.WithTimeout(a.ctx, transferTimeout(b.Size))
		data, err := w.link.get(ctx, a.ref.Run, b)
		cancel()
		if err == nil || a.ctx.Err() != nil || !bus.Passing(err) {
			return data, err
		}
		w.log.Warn("cannot fetch what a task needs: trying again", "run", a.ref.Run, "task", a.ref.Task, "error", err)
		w.pause(a.ctx, backoff(failures))
	}
}

func transferTimeout(size int64) time.Duration {
	return publishTimeout + time.Duration(size)*time.Second/largeRate
}

// largeLoop writes large results to files of their own and hands them on to the spool, which names them: so the file is there
// before its name. It is apart from the commit loop, so that small results do not wait for large files. It ends when its queue
// is closed and empty.
func (w *worker) largeLoop() {
	var refused []*result // by the disk; they were handed on all the same, and are sent from memory
	var tried time.Time
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for {
		work, more := w.larges.take(timer.C)
		for _, r := range work.kept {
			if err := w.writeLarge(r); err != nil {
				w.metrics.spoolFailures.Inc()
				w.log.Error("cannot write a large result to disk: it is kept in memory and sent from there", "run", r.ref.Run, "task", r.ref.Task,
					"bytes", r.large.Size, "error", err)
				refused, tried = append(refused, r), time.Now()
				w.commits.handOn(r)
				continue
			}
			w.commits.add(r)
		}
		if now := time.Now(); len(refused) > 0 && (!more || now.Sub(tried) >= spoolRest) {
			refused, tried = w.writeRefused(refused), time.Now()
		}
		if !more {
			return
		}
		timer.Reset(forever)
		if len(refused) > 0 {
			timer.Reset(until(tried.Add(spoolRest), time.Now()))
		}
	}
}

// writeRefused tries again what the disk refused, has the spool keep what it takes now, and returns the rest.
func (w *worker) writeRefused(refused []*result) (still []*result) {
	for i, r := range refused {
		if err := w.writeLarge(r); err != nil {
			return append(still, refused[i:]...) // the next would fare no better
		}
		w.commits.keep(r)
	}
	return nil
}

// writeLarge writes a result's bytes to a file of its own, unless it was receipted from memory.
func (w *worker) writeLarge(r *result) error {
	body := w.ledger.inMemory(r)
	if body == nil {
		return nil
	}
	path := w.largePath(r.large)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = w.writeFile(path, body)
	}
	if _, _, gone := w.ledger.held(r); gone && err == nil { // receipted meanwhile, maybe before there was a file to remove
		w.commits.queue(diskWork{large: []spec.Blob{r.large}})
	}
	return err
}

// forgetLarge removes the files of results that are receipted.
func (w *worker) forgetLarge(blobs []spec.Blob) {
	for _, b := range blobs {
		if err := os.Remove(w.largePath(b)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.log.Warn("cannot remove a large result that is receipted", "error", err)
		}
	}
}

// forgetOthers removes the files of results that the spool does not hold: receipted ones whose removal a crash cut short.
func (w *worker) forgetOthers(kept []*result) {
	named := make(map[string]bool, len(kept))
	for _, r := range kept {
		named[r.large.Digest.String()] = true
	}
	entries, err := os.ReadDir(filepath.Join(w.o.Dir, largeDirName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.Warn("cannot look for large results", "error", err)
	}
	for _, entry := range entries {
		if named[entry.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(w.o.Dir, largeDirName, entry.Name())); err != nil {
			w.log.Warn("cannot remove a large result that is receipted", "error", err)
		}
	}
}

// upload puts a large result into the object store, where it may be already.
func (w *worker) upload(r *result) error {
	body := w.ledger.inMemory(r)
	if body == nil {
		var err error
		if body, err = os.ReadFile(w.largePath(r.large)); err != nil {
			return fmt.Errorf("%w: %w", errGone, err)
		}
	}
	if !r.large.Names(body) {
		return fmt.Errorf("%w: its file was changed", errGone)
	}
	return w.put(r.ref.Run, body)
}

// errGone: the disk does not give a large result back.
var errGone = errors.New("a large result is lost")

func (w *worker) put(run spec.RunName, body []byte) error {
	ctx, cancel := context.WithTimeout(w.sendCtx, transferTimeout(int64(len(body))))
	defer cancel()
	return w.link.put(ctx, run, body)
}
