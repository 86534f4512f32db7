// Package kv is what autoresearch keeps in JetStream's key-value buckets: the mirror of each run's tasks, which lets a
// leader start without reading the whole journal, and the lease that says who leads a run.
//
// Neither decides anything. The mirror follows the journal and may be thrown away; the lease gives liveness only, the
// journal's fence gives safety.
package kv
