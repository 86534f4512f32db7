package bench

import "time"

// Sizes say how much is measured.
type Sizes struct {
	Quick bool
	// Tasks is how many tasks each side of a comparison does in a round, and scale at each length of the queue.
	Tasks int
	// Starts is how many submissions latency times in a round, Turnarounds how many turns of a slot, of tasks that take
	// about TurnTask.
	Starts, Turnarounds int
	TurnTask            time.Duration
	// Queued are the lengths of the queue of scale, the shortest first. Recovered are how many tasks a run holds whose
	// coordinator is killed. Controlled is how many are queued for control, Controls how many calls of each kind it times
	// in a round.
	Queued, Recovered []int
	Controlled        int
	Controls          int
	// Workers is how many workers of SlotsEach slots there are, WorkersTask how long their tasks take, WorkersBeat the
	// time between their heartbeats, WorkersRound how long a round of watching them lasts.
	Workers, SlotsEach                     int
	WorkersTask, WorkersBeat, WorkersRound time.Duration
	// OccupancyTask is how long a task takes, ProposerTime how long the proposer, OccupancyRound how long a round.
	OccupancyTask, ProposerTime, OccupancyRound time.Duration
}

// SizesFull are those that the targets are of, SizesQuick those for a quick look.
var (
	SizesFull = Sizes{
		Tasks: 20_000, Starts: 500, Turnarounds: 5_000, TurnTask: 100 * time.Millisecond,
		Queued: []int{1_000, 100_000, 1_000_000}, Recovered: []int{100_000, 1_000_000},
		Controlled: 1_000_000, Controls: 500,
		Workers: 1_000, SlotsEach: 8, WorkersTask: 20 * time.Second, WorkersBeat: 5 * time.Second, WorkersRound: time.Minute,
		OccupancyTask: 2 * time.Second, ProposerTime: 5 * time.Second, OccupancyRound: 40 * time.Second,
	}
	SizesQuick = Sizes{
		Quick: true,
		Tasks: 3_000, Starts: 200, Turnarounds: 1_000, TurnTask: 50 * time.Millisecond,
		Queued: []int{1_000, 10_000}, Recovered: []int{5_000, 20_000},
		Controlled: 20_000, Controls: 200,
		Workers: 200, SlotsEach: 8, WorkersTask: 4 * time.Second, WorkersBeat: 2 * time.Second, WorkersRound: 4 * time.Second,
		OccupancyTask: time.Second, ProposerTime: 2 * time.Second, OccupancyRound: 5 * time.Second,
	}
)
