// Command experiment is the task of a chaos run: it notes its start and its end in a log that all executions share, takes
// its time, and returns the children that the tree says it has.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"autoresearch/test/chaos/tree"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	t, err := grow()
	if err != nil {
		return err
	}
	n, err := number(t)
	if err != nil {
		return errors.Join(err, note("stray", -1))
	}
	if err := note("start", n); err != nil {
		return err
	}
	fmt.Printf("[autoresearch] value=%v\n", t.Value(n))
	take(t.Duration(n))
	if err := write(t, n); err != nil {
		return err
	}
	return note("end", n)
}

// grow returns the tree that the environment names.
func grow() (*tree.Tree, error) {
	seed, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("CHAOS_SEED: %w", err)
	}
	size, err := strconv.Atoi(os.Getenv("CHAOS_SIZE"))
	if err != nil {
		return nil, fmt.Errorf("CHAOS_SIZE: %w", err)
	}
	return tree.New(seed, size), nil
}

// number returns the number of the task, if id and payload are those of one.
func number(t *tree.Tree) (int, error) {
	var task tree.Task
	text, err := os.ReadFile(os.Getenv("AUTORESEARCH_TASK_FILE"))
	if err == nil {
		err = json.Unmarshal(text, &task)
	}
	if err != nil {
		return 0, err
	}
	n, ok := t.Number(task.ID)
	if !ok || task.Payload != t.Task(n).Payload || task.ID != os.Getenv("AUTORESEARCH_TASK_ID") {
		return 0, fmt.Errorf("no task of the tree: %s", text)
	}
	return n, nil
}

// note appends a line to the log, in one write.
func note(what string, n int) error {
	log, err := os.OpenFile(filepath.Join(os.Getenv("CHAOS_LAB"), "executions"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "%s %d %s %d %d\n", what, n, os.Getenv("AUTORESEARCH_ATTEMPT"), os.Getpid(), time.Now().UnixNano())
	return errors.Join(err, log.Close())
}

// take takes time, until somebody is in a hurry.
func take(d time.Duration) {
	const look = 50 * time.Millisecond
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(min(look, time.Until(end))) {
		if _, err := os.Stat(filepath.Join(os.Getenv("CHAOS_LAB"), "hurry")); err == nil {
			return
		}
	}
}

func write(t *tree.Tree, n int) error {
	text, err := json.Marshal(map[string]any{
		"metrics": map[string]float64{"value": t.Value(n)}, "children": t.Children(n),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv("AUTORESEARCH_RESULT_FILE"), text, 0o644)
}
