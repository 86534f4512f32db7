// Package workflow holds the workflows that come ready made. There is one: the command workflow, which a YAML file
// describes. The file says how an experiment of each kind is run as a command, what is searched (initial specs, or a
// space of parameters), what thinks up the next experiments, and when to stop.
//
// # A file
//
// Only kinds and one of initial, space and proposer.command are required. A key whose value is null counts as left out.
//
//	name: charlm                        # default: the file's name without its ending
//	objective: {metric: val_bpb, direction: minimize}
//	max_concurrency: 4                  # default: 1
//	kinds:
//	  experiment:                       # a kind not listed uses "default" if that is listed, else it fails
//	    command: [./train, --lr, "{{.payload.lr}}", --id, "{{.id}}"]
//	    env: {OMP_NUM_THREADS: "1"}
//	    class: cpu                      # default: cpu
//	    timeout: 10m                    # default: none
//	    stall_timeout: 2m               # default: none
//	    grace: 10s                      # default: 10s
//	    retries: 2                      # default: 0
//	initial:
//	  - {id: baseline, kind: experiment, priority: -1000, payload: {lr: 0.1, hidden: 64}}
//	space:
//	  lr: {log_float: [0.001, 1]}
//	  hidden: {choice: [32, 64, 128]}
//	  layers: {int: [1, 4]}
//	  dropout: {float: [0, 0.5]}
//	proposer: {strategy: mutate, children: 3, seed: 7, ahead: 8, kind: experiment}
//	stop: {max_experiments: 60, patience: 20, max_duration: 2h, max_gpu_hours: 100, max_cost: 250}
//	prices: {unit: USD, classes: {cpu: {slot_hour: 0.04}, h100: {gpu_hour: 2.5}}}   # default: nothing costs anything
//	limits: {children: 10000, depth: 100000, payload: 64MiB, result: 64MiB}   # the defaults: what one task may be
//
// Behind a value that may be left out stands its default; those of the proposer are with Proposer. schema.json, which
// Schema returns, tells editors the same.
//
// Commands run in the directory of the file, and a relative program with a slash in it is looked up there. Command and
// env values are templates: see template.go for what they may hold. What the built-in proposer does is described in
// propose.go; proposer: {command: [...], class: cpu, timeout: 10m, ahead: 8} is one of the user's own, see ask.go: one that
// is slow is called earlier than ahead says, and asked for more.
//
// # Parts
//
// file.go is what a file holds and read.go how its sections are read; syntax.go turns YAML text into a plain tree,
// value.go a tree into JSON, override.go changes it from the command line, validate.go checks what several sections
// must agree on. space.go and propose.go are the built-in proposer; history.go is what a run's past means to it;
// command.go is the workflow, ask.go its dealings with a proposer that is a command, pace.go when such a call is due,
// factory.go the way in.
package workflow
