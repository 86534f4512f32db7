//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The members of the lab.
var (
	natsNodes    = []string{"nats-1", "nats-2", "nats-3"}
	coordinators = []string{"coordinator-1", "coordinator-2"}
	workers      = []string{"worker-1", "worker-2", "worker-3"}
	everyone     = slices.Concat(natsNodes, coordinators, workers)
)

// kind is a kind of fault.
type kind string

// The kinds. A member that was killed or asked to end is started again when the fault is over.
const (
	killWorker      kind = "kill -9 worker"
	killCoordinator kind = "kill -9 coordinator"
	killNode        kind = "kill -9 nats node"
	killNodes       kind = "kill -9 all nats nodes"
	killEveryone    kind = "kill -9 everything"
	endWorker       kind = "SIGTERM worker"
	endCoordinator  kind = "SIGTERM coordinator"
	rollNodes       kind = "rolling restart of nats"
	stopWorker      kind = "SIGSTOP worker"
	stopWorkerLong  kind = "SIGSTOP worker past its lease"
	stopLeader      kind = "SIGSTOP coordinator"
	stopLeaderLong  kind = "SIGSTOP coordinator past its lease"
	stopNode        kind = "SIGSTOP nats node"
	stopNodes       kind = "SIGSTOP all nats nodes"
	cutWorker       kind = "cut off worker"
	cutWorkerLong   kind = "cut off worker past its lease"
	cutCoordinator  kind = "cut off coordinator"
	cutNode         kind = "cut off nats node"
	split           kind = "split the network"
	fillNode        kind = "disk full of nats node"
	fillWorker      kind = "disk full of worker"
	fillCoordinator kind = "disk full of coordinator"
	deleteTasks     kind = "delete AR_TASKS"
	purgeTasks      kind = "purge AR_TASKS"
	deleteConsumer  kind = "delete the consumer of AR_TASKS"
	deleteResults   kind = "delete AR_RESULTS"
	purgeResults    kind = "purge AR_RESULTS"
	deleteState     kind = "delete AR_STATE"
	purgeState      kind = "purge AR_STATE"
	deleteLease     kind = "delete AR_LEASE"
)

// need is what a kind of fault asks of the machine.
type need string

// The needs.
const (
	needsNothing need = ""
	needsNetwork need = "network namespaces"
	needsDisks   need = "a disk of each member's own"
)

// rule says of a kind of fault whom it strikes and how long it lasts.
type rule struct {
	kind      kind
	draw      func(*rand.Rand) []string
	low, high time.Duration
	needs     need
}

// rules are all kinds of faults.
var rules = []rule{
	{killWorker, one(workers), 0, seconds(4), needsNothing},
	{killCoordinator, one(coordinators), 0, seconds(4), needsNothing},
	{killCoordinator, all(coordinators), 0, seconds(3), needsNothing},
	{killNode, one(natsNodes), 0, seconds(5), needsNothing},
	{killNodes, all(natsNodes), 0, seconds(3), needsNothing},
	{killEveryone, all(everyone), 0, seconds(2), needsNothing},
	{endWorker, one(workers), 0, seconds(3), needsNothing},
	{endCoordinator, one(coordinators), 0, seconds(3), needsNothing},
	{rollNodes, all(natsNodes), seconds(6), seconds(12), needsNothing},
	{stopWorker, one(workers), seconds(0.3), seconds(6), needsNothing},
	{stopWorkerLong, one(workers), seconds(22), seconds(28), needsNothing},
	{stopLeader, one(coordinators), seconds(0.3), seconds(4), needsNothing},
	{stopLeaderLong, one(coordinators), seconds(8), seconds(15), needsNothing},
	{stopNode, one(natsNodes), seconds(1), seconds(10), needsNothing},
	{stopNodes, all(natsNodes), seconds(1), seconds(8), needsNothing},
	{cutWorker, one(workers), seconds(1), seconds(10), needsNetwork},
	{cutWorkerLong, one(workers), seconds(22), seconds(28), needsNetwork},
	{cutCoordinator, one(coordinators), seconds(1), seconds(15), needsNetwork},
	{cutNode, one(natsNodes), seconds(1), seconds(15), needsNetwork},
	{split, minority, seconds(1), seconds(12), needsNetwork},
	{fillNode, one(natsNodes), seconds(2), seconds(8), needsDisks},
	{fillWorker, one(workers), seconds(2), seconds(8), needsDisks},
	{fillCoordinator, one(coordinators), seconds(2), seconds(8), needsDisks},
	{deleteTasks, nobody, 0, 0, needsNothing},
	{purgeTasks, nobody, 0, 0, needsNothing},
	{deleteConsumer, nobody, 0, 0, needsNothing},
	{deleteResults, nobody, 0, 0, needsNothing},
	{purgeResults, nobody, 0, 0, needsNothing},
	{deleteState, nobody, 0, 0, needsNothing},
	{purgeState, nobody, 0, 0, needsNothing},
	{deleteLease, nobody, 0, 0, needsNothing},
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// possible returns the rules whose needs are met.
func possible(rules []rule, has func(need) bool) []rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return !has(r.needs) })
}

func nobody(*rand.Rand) []string { return nil }

func all(group []string) func(*rand.Rand) []string {
	return func(*rand.Rand) []string { return group }
}

func one(group []string) func(*rand.Rand) []string {
	return func(random *rand.Rand) []string {
		n := random.IntN(len(group))
		return group[n : n+1 : n+1]
	}
}

// minority draws a part of the network that holds one NATS node and some of its clients.
func minority(random *rand.Rand) []string {
	part := one(natsNodes)(random)
	for _, client := range slices.Concat(coordinators, workers) {
		if random.IntN(2) == 0 {
			part = append(part, client)
		}
	}
	return part
}
