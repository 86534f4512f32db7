// Package bench measures the engine on this machine. Where a row has a yardstick, raw JetStream does the same work in the
// same run, on the same server process, in turn: absolute numbers depend on the machine and on what else it does, the
// ratio of the two does less so.
//
// The main path: Run (bench.go) goes through the rows. Each opens a site (site.go): a folder and a NATS server in a process
// of its own. Such a process is a child of this one (process.go) that does what it is asked over its standard input and
// output (child.go): it is a server, a worker (working.go), a coordinator (led.go), or the worker of raw JetStream (raw.go).
//
//   - throughput, tree and durable (versus.go, comparison.go) let two sides do the same load (load.go), the engine
//     (engine.go) and raw JetStream (raw.go), in alternating rounds;
//   - latency.go, scale.go, recovery.go, workers.go, control.go and occupancy.go are the others.
//
// What was found, with the machine it was found on (environment.go) and what is to be reached (target.go), is a Report.
package bench
