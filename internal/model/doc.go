// Package model is what a simulation needs instead of machines: a JetStream in memory that keeps the contracts of
// package bus and package kv (it passes the conformance suites that the real server passes), and a scheduler that runs
// processes on virtual time, one goroutine at a time, in an order that a seed decides.
//
// The server (server.go, stream.go) does what it is asked at once and knows no faults. Everything that goes wrong
// between a process and the server is the business of the process's Link (client.go): it delays, loses, repeats and
// refuses.
package model
