// Package worker executes attempts: it offers slots, pulls dispatched tasks, runs them as processes or in Go, and sees to
// it that their results reach the leader. It decides nothing about tasks: what to run, for how long and what follows is
// the leader's.
//
// # An attempt's way
//
//	pull.go      a class with free slots asks for dispatches; each one gets a claim and a slot
//	executors.go are the goroutines that run them
//	runner.go    a Runner registered for the kind executes it, else the recipe's command
//	command.go   ... which contract.go and checkpoint.go prepare, exec.go supervises (on Linux under a shim of its own, see
//	             internal/shim), output.go reads, failure.go judges
//	commit.go    the outcome goes to the spool (spool.go), in groups, one write and at most one sync for each
//	publish.go   and from there to the run's results stream, until control.go hears the leader's receipt
//	attemptlog.go notes each start, end and receipt for autoresearch verify
//	heartbeat.go tells the leaders what ledger.go holds
//	gpu.go       gives slots their GPUs, gpukeep.go looks at them and takes those out that are not fit
//
// What a worker holds is listed in every full heartbeat from the moment it is claimed to its receipt: first as running,
// then, once its result was published or tried to, as finished.
//
// # Goroutines
//
// Run owns all of them and has waited for each when it returns: one pull loop a class; the heartbeat loop, which alone
// sends uplinks; the commit loop, which alone writes the spool; one sender a run that has something to send; the
// executors, one for each attempt that runs and others that wait for the next ones, and one more goroutine, tied to an OS thread,
// for an attempt's process; the keeper of the GPUs, which alone waits for nvidia-smi, though attempts may wait for its next
// look before they begin; the HTTP server; the watch for Options.Kill. The link calls onAnswer and onReconnect from goroutines
// of its own. Timers of attempts run short functions. Only a Runner that ignores its context outlives Run.
//
// # Locks
//
// The ledger's lock comes before the locks of attempts and their news; nothing blocks under it. That of the executors
// comes before that of commits. The locks of commits, outboxes, spool and attempt log are taken alone; only the last two are
// held across disk I/O.
package worker
