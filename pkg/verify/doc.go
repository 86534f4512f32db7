// Package verify checks the promises of a run after the fact, from what the run left behind: its journal, its mirror, the
// files of its workdir, its results stream and its workers' attempt logs.
//
// It shares the form of the records with the product (package bus reads them, package spec names what is in them) and no
// code that applies them: what a record means is written down here a second time, small and plainly, so that one mistake
// cannot hide in both.
//
// # Reading a run that goes on
//
// Sources are read in an order in which no later one may be behind an earlier: attempt logs, files, mirror, results
// stream, and the journal last. What the journal's end does not say yet is in flight and never a violation: so a check
// beside a running leader raises no false alarm.
//
// # Where to look
//
//	verify.go    Run: reads everything in order and returns a Report (report.go)
//	fold.go      one journal record after the other: sequences, checksums, epochs, commits, parts, engine time
//	task.go      what the fold keeps of a task; life.go what may become of one in one commit
//	births.go    children and arrival numbers; dispatch.go budget, pauses and order (ready.go)
//	mirror.go    the mirror against the fold; files.go the workdir's; attempts.go the workers'; results.go the stream's
//	state.go     the fold in a compact form, and store.go where a purge of the journal leaves it
package verify
