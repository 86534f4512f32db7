package main

// Durability is what an acknowledged task survives.
type Durability string

// The durabilities that are compared. Both survive kill -9 of every process.
const (
	// EverySecond: a power cut loses at most the last second.
	EverySecond Durability = "fsync every second"
	// Always: a power cut loses nothing.
	Always Durability = "fsync before each acknowledgement"
)
