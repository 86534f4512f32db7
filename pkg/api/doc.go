// Package api is the HTTP face of runs: the server half that a coordinator serves, the document that describes it
// (openapi.yaml, served as /api/v1/openapi.json), and the typed client that the command line uses.
//
// A Server serves any number of runs; a process registers each run that it coordinates. Reading goes through a
// coordinator.View and so never touches an engine. Changes are engine events that say who asks and why; their answers come
// once the change is journaled, so that it is in force and survives a failover. A coordinator that does not lead a run
// forwards what is asked of the run to the one that does.
//
// Task ids are any text. In a path an id is one segment: percent-encoded, or "~" and the id in base64url, which survives
// proxies and browsers that tidy paths up (see Segment).
package api
