// Package notify tells people what happens to a run: by a webhook, or by a command.
//
// A Notifier stands beside a run's coordinator and reads what the coordinator has journaled, as a page that looks on does: it
// holds nothing up, and nothing that goes wrong in it reaches the run. While another coordinator leads it waits.
//
// # What is told, and how often
//
// The events of the journal are folded, in order, into a mark: the position that was reached, the best value so far, what was
// said already. What the fold finds worth telling is delivered, and then the mark is kept in NATS. The next leader's notifier goes on
// from the mark. So a notice is lost only if it could not be delivered within its attempts, and is repeated only when a
// leader went between delivering it and keeping the mark: it then has the same id. Of several new best values that come
// while one is being delivered only the last is told. The time without progress counts anew with each leader.
//
// # The body
//
// A webhook gets a POST, a command its standard input, with a JSON object:
//
//	version    1
//	id         the same whenever the same thing is told; also the header Idempotency-Key
//	event      new_best, stopped, breaker, budget or no_progress
//	run, name  the run, and the name of its workflow
//	at         when it happened, RFC 3339
//	text       a line for people
//	new_best:            task, metric, direction, value, and previous unless it is the first
//	stopped, breaker:    reason
//	budget:              limit (max_experiments, max_duration, max_gpu_hours or max_cost), used, allowed (seconds for a duration)
//	no_progress:         for_seconds
//	counts     completed, failed, cancelled, running and queued experiments when it was written
//
// A command also finds AUTORESEARCH_EVENT, AUTORESEARCH_RUN, AUTORESEARCH_TASK and AUTORESEARCH_TEXT in its environment.
package notify
