// Package bus is everything that autoresearch says to NATS: the name of every stream, subject, consumer and header, the
// form of every message and record, and the provisioning of streams. NATS words (ack, nak, sequence) stay inside it and
// inside package kv.
//
// # Commit rules
//
// The journal is written with one publish at a time, each expecting the last sequence it saw (ELS). An append has three
// endings, and callers branch on nothing else: it returned a sequence (it is durable and nobody wrote between), it
// returned ErrConflict (somebody else wrote: the caller's state is stale for good), or it returned ErrAmbiguous (it may
// or may not be stored: only the same bytes may be sent again).
package bus
