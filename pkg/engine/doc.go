// Package engine is the pure core of a run: the priority queue, the budget, attempts, leases, retries and the life of
// every task. It does no I/O and reads no clock, starts no goroutine and draws no random number that its config and its
// input do not determine.
//
// The shell drives it in turns. In a turn it calls Step for each event that has arrived and then Collect once:
//
//	for _, ev := range arrived {
//		e.Step(now, ev)
//	}
//	out := e.Collect(now)
//
// Collect lets deadlines pass, fills the free slots and returns what must now happen. The order of Output's fields is an
// obligation on the shell: Changes and Meta are journaled first, as one record; only when that record is durable may the
// shell publish, purge, stop, receipt, run hooks and reply, because another leader may have taken over and the record is
// the proof that it has not. The shell must not call Step again before the Output's Changes are encoded: they point at
// the engine's own records.
//
// No step costs O(queue) or O(tree): every index is a heap, a map or a list of what changed. Nothing that is emitted
// comes from ranging over a map, so that the same events give the same output.
package engine
