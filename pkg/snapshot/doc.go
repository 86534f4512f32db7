// Package snapshot reads and writes the files of a workdir that the engine itself needs: engine_state.json, the queue
// as users of the original know and edit it; workflow_factory.json; engine/run.json; and the lock that keeps a second
// engine out.
//
// Every file is replaced atomically and durably: a reader sees the old content or the new one, never half of either,
// and what WriteFile returned from survives the loss of power. One process writes a workdir, the one that holds its
// Lock; any number may read it.
//
// A snapshot follows the journal and is not the truth while one exists. It is how a queue gets in and out: from the
// original, to the original, and through a person's editor. The sidecar engine/engine_state.sha256 tells the engine's
// own writes from such edits.
package snapshot
