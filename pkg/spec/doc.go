// Package spec is the vocabulary of autoresearch: the types that travel between a workflow, the coordinator and the
// workers, their defaults, and the rules by which their files are read and written. It depends on the standard library
// only, holds no behaviour beyond reading, writing and validating, and is imported by every other package.
//
// # Glossary
//
// One word for one thing; these words are used in code, messages, metrics and documents alike.
//
//   - TaskSpec: what to run; immutable once submitted. Its payload is opaque to the engine.
//   - Task: the engine's record of one TaskSpec: its state, its attempts and its outcome.
//   - Attempt: one leased try at a task. Attempt numbers start at 1, grow, and never repeat: the attempt is the fence.
//   - Claim: the random number by which one worker process holds one attempt. The first claim journaled holds it.
//   - Lease: the right to run one attempt until a deadline on engine time; extended by heartbeats.
//   - TaskResult: what an attempt produced: metrics, children, output, and the failure if there was one.
//   - Outcome: what the engine keeps of the attempt that decided a task.
//   - Slot: a worker's room for one attempt.
//   - Class: a pool of equal slots ("cpu", "h100x1"). A task's kind decides its class.
//   - Kind: a category tag of a TaskSpec; decides class, timeouts, retries and the command.
//   - Budget: the coordinator's cap on leases held at once.
//   - Spent: what attempts have used up: lease time (engine time from the claim to the end of the lease), GPU time, cost.
//   - Limit: the most that may be spent of one thing: experiments, active time, GPU-hours, cost. Allowance: all of them, of a
//     run or of a task with all its descendants.
//   - Purse: an allowance and what is spent of it. A task draws on the nearest above it. Parked: queued, and not to begin
//     because a purse is spent.
//   - Price: what an hour of a class's slot, or of one of its GPUs, costs.
//   - Run: one search, with its own queue, journal and workdir.
//   - Workflow: the user's adapter: where specs come from, and what follows from a result.
//   - Runner: the half of a workflow that executes on a worker.
//   - Recipe: how a generic worker executes an attempt: argv, environment, limits.
//   - Proposer: what thinks up children.
//   - Step, Event, Command, Output: the engine's pure function, what goes in, what comes out.
//   - Journal: the stream whose records are the truth. Mirror: the key-value copy that follows it. Snapshot: the JSON
//     files of a workdir. Epoch: the number of a leader's term; it fences the terms before it.
//   - Engine time: a clock kept in the journal that stands still while the leader is asleep or cut off.
//
// Verbs: Submit, Dispatch, Claim, Extend, Requeue, Cancel, Drain, Recover, Reconcile.
package spec
