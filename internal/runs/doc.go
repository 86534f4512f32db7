// Package runs is what a coordinator serves that was given no workflow of its own: every run that is registered with its
// NATS server. Each is led, or stood by for, on its own, so that several such coordinators share them. It also carries out
// what is asked of the registry: to create, change, archive and delete runs, and to fetch their files.
package runs
