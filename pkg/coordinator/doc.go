// Package coordinator is the shell round the engine: it decides nothing about tasks and does everything else.
//
// The main path: Run stands for election (candidate.go), recovers the run from mirror and journal (recover.go, fold.go),
// and then leads (leader.go): one goroutine, the loop, takes what has arrived from the inbox, calls the engine, commits
// one record (commit.go), and only then performs the effects (effects.go). Everything that follows the journal - ledger,
// mirror, files of the workdir, displays - is told after the commit and never holds the loop up (follow.go).
package coordinator
