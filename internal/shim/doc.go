// Package shim puts a small process between a worker and each experiment, so that whatever the experiment forks,
// daemonises or setsids, nothing of it is left after its end: not when it ends by itself, not when it is killed, and not
// when the worker is.
//
// The shim is the worker's own program, executed again under the name Name. It is the subreaper of all that the experiment
// starts: an orphan becomes its child, wherever it has moved its session or group. When the experiment has ended, or the
// worker orders it or is gone, the shim kills its children and then those they leave to it, until it has none; only then
// does it end. It kills nothing but its own unreaped children, so that no stranger is hit whose number is a dead process's.
//
// The init function of this package turns a process of that name into a shim before anything of the program itself runs:
// every program that links package worker is one, with nothing to remember. Packages are initialised in the order of their
// paths as soon as those they import are. So this package imports little: then it comes before nearly all others, and a
// shim starts in half the time.
//
// Between the two there are two pipes. On the first the worker writes the Job and then its orders; the pipe's end says that
// the worker is gone. On the second the shim writes Events: the start or why there is none, the end of the experiment's own
// process, and that nothing of it is left.
//
// Limits are set by one more process in between, which becomes the experiment: a limit on memory would hit the shim.
//
// All of it is for Linux.
package shim
