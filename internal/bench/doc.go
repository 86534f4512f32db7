// Package bench measures the engine beside a yardstick: raw JetStream doing the same work in the same run, on the same
// server process, in turn. Absolute numbers depend on the machine and on what else it does; the ratio of the two is what
// counts.
//
// The main path: Run (bench.go) goes through the rows; a row that compares (versus.go) starts a NATS server as a child
// process (server.go) and lets the two sides, the engine (engine.go) and raw JetStream (raw.go), run the same load
// (load.go) in alternating rounds. What was found, with the machine it was found on (environment.go), is a Report.
package bench
