// Package web is where a program that leads runs is reached over HTTP: on a Unix socket that only its user can open, and on
// a TCP address if it is told one. It serves the API, health, readiness and metrics, and notes in the workdir where it is.
package web
