// Package engine is the pure core of a run: the priority queue, the budget, attempts, leases, retries and the life of
// every task. It does no I/O and reads no clock, starts no goroutine and draws no random number that its config and its
// input do not determine.
//
// The shell drives it in turns. In a turn it calls Step for each event that has arrived, then Collect once, and Reset when
// it has taken what it needs of the output:
//
//	for _, ev := range arrived {
//		e.Step(now, ev)
//	}
//	out := e.Collect(now)
//	... // journal, then act
//	e.Reset()
//
// Collect lets deadlines pass, fills the free slots and returns what must now happen. The order of Output's fields is an
// obligation on the shell: Changes and Meta are journaled first, as one record; only when that record is durable may the
// shell publish, purge, stop, receipt, run hooks and reply, because another leader may have taken over and the record is
// the proof that it has not. The Output points at the engine's own records: what the shell needs after Reset it copies.
//
// The engine lets go of the records of tasks that wait when the shell offers to keep them (Rest), and asks for them again.
//
// No step costs O(queue) or O(tree), but for those that are about a subtree: every index is a heap, a map or a list of
// what changed. Nothing that is emitted comes from ranging over a map, so that the same events give the same output.
//
// testdata holds the specification, as scripts: one file a topic, from which its rule can be read.
package engine
