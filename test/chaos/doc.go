// Command chaos runs a search on real programs and breaks them: coordinators, workers and a NATS cluster of three nodes are
// killed, stopped, cut off, their disks fill, their streams vanish, as a schedule says that is drawn from a seed. Then all
// is healed, the run must come to its end by itself, and what it left is compared with what it must be. docs/TESTING.md
// says more.
package main
