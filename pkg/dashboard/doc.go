// Package dashboard is the web page on which people watch and steer runs. It is served at / beside the API, and is a client
// of that API like any other: the page itself holds nothing of a run, so it is served to everybody, and the API asks for
// tokens.
//
// static holds what the browser gets, as it is written: ES modules, no build step, nothing from elsewhere.
//
//	main.js        what is shown where
//	store.js       the page's state; whatever changes it draws the page anew
//	follow.js      keeps the state current: the tree once in pages, then events
//	stream.js      the stream of events, taken up again where it ended
//	api.js         requests
//	tree/          the hypothesis tree on a canvas: its nodes, places, drawing, gestures
//	panels/        queue, workers, failures, changes, progress
//	details/       one task: its spec against the parent's, result, failure, curve, output, attempts
//	third_party/   libraries as they were released, pinned by third_party/SHA256SUMS
//
// Ids, payloads and messages come from strangers. They reach the page as text only, through preact or onto a canvas; and
// the policy that goes with each answer lets the browser run no script but the files of this package.
package dashboard
