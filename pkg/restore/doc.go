// Package restore begins the journal of a run anew, on a person's word, after it was lost or damaged. What is known of the
// run comes from the mirror, if NATS still has it, and from the files of a workdir: engine_state.json, engine/tree.json and
// engine/run.json.
//
// A restored run is like one whose journal was purged: the mirror holds every task, and says what the journal added up to;
// the journal goes on after that, at a sequence, a commit number and an epoch above all that were ever seen. So a writer of
// the lost journal, or a worker that hears one, is refused; workers that still run an attempt keep it, and send again the
// results that were not receipted. Tasks that have ended stay ended. The order makes it safe to be cut off anywhere: the mirror
// is written first, and until the journal has its first record every coordinator goes on raising the alarm.
package restore
