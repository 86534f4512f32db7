// Command experiment is what the end-to-end tests run as an experiment, and with the argument "propose" as a proposer. It
// notes its starts and ends in a log that all executions of a test share, and otherwise does what its payload says.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// payload is what a task tells the experiment to do.
type payload struct {
	Seconds    float64           `json:"seconds"`     // how long it takes
	Say        string            `json:"say"`         // what it prints at its start
	Steps      int               `json:"steps"`       // how many lines of progress it prints
	Leave      string            `json:"leave"`       // a file to leave among its artifacts, beside a link that leads out
	Gate       string            `json:"gate"`        // a file of the lab to wait for
	IgnoreTerm bool              `json:"ignore_term"` // SIGTERM does not end it
	Loss       float64           `json:"loss"`        // the metric it prints
	Children   []json.RawMessage `json:"children"`    // the child specs of its result
	ChildBytes int               `json:"child_bytes"` // the size of one more child's payload
	Result     string            `json:"result"`      // the text of its result file, instead of a proper one
	NoFile     bool              `json:"no_file"`     // it writes no result file: its metric is all it has to say
	Exit       int               `json:"exit"`        // its exit status
	Prints     string            `json:"prints"`      // what it prints as its metric, instead of loss
	ChildCount int               `json:"child_count"` // so many more children
	KillWorker bool              `json:"kill_worker"` // it ends the worker it runs under, and so itself
}

type task struct {
	ID      string  `json:"id"`
	Payload payload `json:"payload"`
}

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "propose" {
		err = propose()
	} else {
		err = experiment()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func experiment() error {
	t, err := readTask()
	if err != nil {
		return err
	}
	if t.Payload.IgnoreTerm {
		signal.Ignore(syscall.SIGTERM)
	}
	if err := note("start"); err != nil {
		return err
	}
	if t.Payload.Say != "" {
		fmt.Println(t.Payload.Say)
	}
	if err := leave(t); err != nil {
		return err
	}
	for step := 1; step <= t.Payload.Steps; step++ {
		fmt.Printf("[autoresearch] step=%d loss=%v\n", step, t.Payload.Loss+1/float64(step))
	}
	time.Sleep(time.Duration(t.Payload.Seconds * float64(time.Second)))
	if err := await(t.Payload.Gate); err != nil {
		return err
	}
	if t.Payload.KillWorker {
		return killWorker()
	}
	if t.Payload.Prints != "" {
		fmt.Printf("[autoresearch] loss=%s\n", t.Payload.Prints)
	} else {
		fmt.Printf("[autoresearch] loss=%v\n", t.Payload.Loss)
	}
	if err := writeResult(t); err != nil {
		return err
	}
	if err := note("end"); err != nil {
		return err
	}
	os.Exit(t.Payload.Exit)
	return nil
}

func leave(t task) error {
	if t.Payload.Leave == "" {
		return nil
	}
	dir := os.Getenv("AUTORESEARCH_ARTIFACTS_DIR")
	path := filepath.Join(dir, t.Payload.Leave)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("left by "+t.ID), 0o644),
		os.Symlink("/etc/passwd", filepath.Join(dir, "passwd")))
}

func readTask() (t task, err error) {
	text, err := os.ReadFile(os.Getenv("AUTORESEARCH_TASK_FILE"))
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// note appends a line to the log of the lab, in one write.
func note(what string) error {
	log, err := os.OpenFile(filepath.Join(os.Getenv("E2E_LAB"), "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	id := url.QueryEscape(os.Getenv("AUTORESEARCH_TASK_ID"))
	_, err = fmt.Fprintf(log, "%s %s %s %d\n", what, id, os.Getenv("AUTORESEARCH_ATTEMPT"), os.Getpid())
	return errors.Join(err, log.Close())
}

// await waits until a gate of the lab is open.
func await(gate string) error {
	if gate == "" {
		return nil
	}
	for {
		_, err := os.Stat(filepath.Join(os.Getenv("E2E_LAB"), "gate-"+gate))
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func writeResult(t task) error {
	if t.Payload.NoFile {
		return nil
	}
	text := []byte(t.Payload.Result)
	if len(text) == 0 {
		children := t.Payload.Children
		if n := t.Payload.ChildBytes; n > 0 {
			children = append(children, fmt.Appendf(nil, `{"id": "large", "payload": {"text": %q}}`, strings.Repeat("x", n)))
		}
		for i := range t.Payload.ChildCount {
			children = append(children, fmt.Appendf(nil, `{"id": "c%d"}`, i))
		}
		var err error
		if text, err = json.Marshal(map[string]any{"metrics": map[string]float64{"size": 1}, "children": children}); err != nil {
			return err
		}
	}
	return os.WriteFile(os.Getenv("AUTORESEARCH_RESULT_FILE"), text, 0o644)
}

// killWorker kills the worker, the parent of the shim that is our parent, and waits for its own end.
func killWorker() error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", os.Getppid()))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // pid (name) state parent ...
	var state string
	var worker int
	if _, err := fmt.Sscan(rest, &state, &worker); err != nil {
		return err
	}
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		return err
	}
	select {}
}

// propose reads what is known of the search, keeps it as <task id>.stdin in the lab, waits for the gate E2E_GATE if one is
// named, and prints three children, or none once there are nine experiments.
func propose() error {
	if err := note("start"); err != nil {
		return err
	}
	text, err := io.ReadAll(bufio.NewReader(os.Stdin))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("E2E_LAB"), os.Getenv("AUTORESEARCH_TASK_ID")+".stdin"), text, 0o644); err != nil {
		return err
	}
	var known struct {
		Nodes []struct {
			ID string `json:"node_id"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	if len(known.Nodes) > 0 {
		if err := await(os.Getenv("E2E_GATE")); err != nil {
			return err
		}
	}
	for i := len(known.Nodes); i < 9 && i < len(known.Nodes)+3; i++ {
		fmt.Printf(`{"id": "p%d", "payload": {"loss": %d}}`+"\n", i, 20-i)
	}
	return note("end")
}
