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
//
// # Where to look
//
// ports.go holds the interfaces that the coordinator is built on and bustest their contract as tests, for any
// implementation. journal.go, results.go, doorbell.go, objects.go, uplink.go and pull.go implement them, on a Stream
// (stream.go, batch.go), which reads through a reader (reader.go). provision.go owns every stream's and consumer's configuration.
// connect.go, link.go and embedded.go are about the connection and the server.
//
// # Wire form
//
// Everything is msgpack: maps with short text keys, listed at each encoder. A field that is absent has its zero value;
// unknown fields are ignored in messages and kept in what is stored. Stored forms are sealed with a version and a
// checksum (codec_record.go). Decoders check every length against the bytes that are there before they believe it.
//
// # Goroutines
//
// Results.Consume has one, which its stop waits for. Listen, Lead and ListenControl have one a subscription, which their
// stop waits for. A Conn has those of the client library and a Doorbell one more; Conn.Close ends them. An Embedded
// server has its own, which Shutdown waits for.
package bus
