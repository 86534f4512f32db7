package engine

import (
	"time"

	"autoresearch/pkg/spec"
)

// Defaults of Config.
const (
	LeaseTTLDefault     = 20 * time.Second
	WorkerTTLDefault    = 7 * time.Second
	OverdueDefault      = 5 * time.Second
	LostDoorbellDefault = 2 * time.Second
	DemandTTLDefault    = 3 * time.Second
	ResendAfterDefault  = 3 * time.Second
	BackoffBaseDefault  = time.Second
	BackoffMaxDefault   = 5 * time.Minute
	MaxLostDefault      = 5
	MaxPreemptedDefault = 100
	MaxChildrenDefault  = 10_000
	MaxDepthDefault     = 100_000
	MaxPayloadDefault   = 64 << 20
	MaxReportedDefault  = 4096
)

// Config is everything an engine is told from outside. Zero fields take the defaults above.
type Config struct {
	// Run names the run to the others that it shares slots with, and Weight is its part of them; 1 when it is not above 0.
	Run    spec.RunName
	Weight float64
	// Budget is the cap on leases of counted kinds held at once; below 1 it is 1. Meta.Budget, once set, wins.
	Budget int
	// Kinds holds the policy of each kind; a kind that is not listed uses "default". Strict makes a kind with neither
	// fail with launch_failed instead of running with the zero policy.
	Kinds  map[string]spec.KindPolicy
	Strict bool
	Limits spec.Limits
	// Prices are those of slots; a class that requires labels without a price of its own has that of its base.
	Prices spec.Prices
	// Hooks says that outcomes wait for a HookDone event; without it they are applied as they arrive.
	Hooks bool
	// Seed decides the jitter of backoffs.
	Seed uint64

	// LeaseTTL is how long, in engine time, a lease lives without a heartbeat that lists it.
	LeaseTTL time.Duration
	// WorkerTTL is how long a worker's slots count without a heartbeat.
	WorkerTTL time.Duration
	// DemandTTL is how long it counts what another run said it wants.
	DemandTTL time.Duration
	// Overdue is how long a dispatched task may be unclaimed before it is published again.
	Overdue time.Duration
	// LostDoorbell is the same once the doorbell is known to be lost: long enough to hear of who picked one up before.
	LostDoorbell time.Duration
	// ResendAfter is how long a worker must have listed a result as finished before it is asked to send it again.
	ResendAfter time.Duration
	// BackoffBase, unless the kind has its own, doubles per failure up to BackoffMax; the delay is drawn between half of it and all of it.
	BackoffBase time.Duration
	BackoffMax  time.Duration
	// MaxLost and MaxPreempted bound how often a task may lose its worker or be preempted before it fails for good, unless
	// its kind has bounds of its own.
	MaxLost      int
	MaxPreempted int
	// MaxSpecSize bounds a spec, in bytes of its texts without a payload that lies in the object store; 0: no bound.
	// MaxPayload bounds its payload, wherever it lies. Larger ones are refused.
	MaxSpecSize int
	MaxPayload  int64
	// MaxTaskSize bounds a whole task, in bytes of its texts as a record holds them; 0: no bound. A result whose children's
	// ids exceed it is treated as one with too many children.
	MaxTaskSize int
	// MaxChildren bounds the children of one result: with more its task fails, and none of them is added.
	MaxChildren int
	// MaxDepth bounds how many tasks stand above one another in the tree, itself included; a deeper one is refused.
	MaxDepth int
	// Breaker ends the dispatching once so many counted tasks in a row have failed for good in the same way; 0: never.
	Breaker int
	// MaxReported stops dispatching while so many outcomes wait for the result hook: back pressure for slow hooks.
	MaxReported int
}

func (c *Config) setDefaults() {
	setDefault(&c.LeaseTTL, LeaseTTLDefault)
	setDefault(&c.WorkerTTL, WorkerTTLDefault)
	setDefault(&c.Overdue, OverdueDefault)
	setDefault(&c.LostDoorbell, LostDoorbellDefault)
	setDefault(&c.DemandTTL, DemandTTLDefault)
	setDefault(&c.ResendAfter, ResendAfterDefault)
	setDefault(&c.BackoffBase, BackoffBaseDefault)
	setDefault(&c.BackoffMax, BackoffMaxDefault)
	setDefault(&c.MaxLost, MaxLostDefault)
	setDefault(&c.MaxPreempted, MaxPreemptedDefault)
	setDefault(&c.MaxChildren, MaxChildrenDefault)
	setDefault(&c.MaxDepth, MaxDepthDefault)
	setDefault(&c.MaxPayload, MaxPayloadDefault)
	setDefault(&c.MaxReported, MaxReportedDefault)
	c.Budget = max(1, c.Budget)
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Runs reports whether tasks of a kind can run.
func (c *Config) Runs(kind string) bool {
	_, ok := c.policy(kind)
	return ok
}

// policy returns the policy of a kind, and false if the kind cannot run.
func (c *Config) policy(kind string) (spec.KindPolicy, bool) {
	p, ok := c.Kinds[kind]
	if !ok {
		p, ok = c.Kinds[spec.KindDefault]
	}
	if p.Class == "" {
		p.Class = spec.ClassDefault
	}
	return p, ok || !c.Strict
}

// price returns what a slot of a class costs.
func (c *Config) price(class string) spec.Price {
	if price, own := c.Prices.Classes[class]; own {
		return price
	}
	return c.Prices.Classes[spec.BaseClass(class)]
}
