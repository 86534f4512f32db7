// Command peers measures two other job queues beside this one: asynq on Redis and River on PostgreSQL, each on a server of
// its own that this program starts on loopback in a temporary folder and stops at its end. It is a module of its own, so
// that the product does not depend on them.
//
// All do the same: tasks that do nothing and carry 200 bytes are submitted while workers run; each result is recorded; the
// clock stops when the store has the last one as completed. Each system is set as its own documents or benchmark advise:
// asynq.go and river.go say how. What is compared has the same durability (durability.go).
//
// The systems take turns, round by round (main.go). server.go starts servers, table.go shows what was found.
package main
