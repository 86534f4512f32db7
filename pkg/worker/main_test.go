package worker

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"autoresearch/pkg/bus/bustest"
)

// experimentVariable makes this test binary an experiment: it executes its arguments as a script.
const experimentVariable = "WORKER_TEST_EXPERIMENT"

func TestMain(m *testing.M) {
	if os.Getenv(experimentVariable) != "" {
		os.Exit(experiment(os.Args[1:]))
	}
	bustest.VerifyTestMain(m)
}

// experiment executes one instruction after the other: a word and its argument, separated by a space.
func experiment(script []string) int {
	for _, line := range script {
		word, argument, _ := strings.Cut(line, " ")
		instruction, known := instructions[word]
		if !known {
			fmt.Fprintln(os.Stderr, "unknown instruction", line)
			return 99
		}
		if code, end := instruction(argument); end {
			return code
		}
	}
	return 0
}

var instructions = map[string]func(argument string) (code int, end bool){
	"say":  func(s string) (int, bool) { fmt.Println(s); return 0, false },
	"warn": func(s string) (int, bool) { fmt.Fprintln(os.Stderr, s); return 0, false },
	"exit": func(s string) (int, bool) { return number(s), true },
	"sleep": func(s string) (int, bool) {
		time.Sleep(time.Duration(number(s)) * time.Millisecond)
		return 0, false
	},
	"forever": func(string) (int, bool) { time.Sleep(time.Hour); return 0, true },
	"result": func(s string) (int, bool) {
		return 1, os.WriteFile(os.Getenv(EnvResultFile), []byte(s), 0o600) != nil
	},
	"artifact": func(s string) (int, bool) {
		return 1, os.WriteFile(os.Getenv(EnvArtifactsDir)+"/"+s, []byte("left"), 0o600) != nil
	},
	"checkpoint": func(s string) (int, bool) {
		return 1, os.WriteFile(os.Getenv(EnvCheckpointDir)+"/state", []byte(s), 0o600) != nil
	},
	"restored": func(string) (int, bool) {
		text, err := os.ReadFile(os.Getenv(EnvCheckpointDir) + "/state")
		fmt.Printf("[autoresearch] restored=%s error=%v resumed=%s\n", text, err != nil, os.Getenv(EnvResumed))
		return 0, false
	},
	"kill": func(s string) (int, bool) {
		_ = syscall.Kill(os.Getpid(), syscall.Signal(number(s)))
		time.Sleep(time.Hour)
		return 0, true
	},
	"ignore": func(string) (int, bool) { signal.Ignore(syscall.SIGTERM); return 0, false },
	// await waits for SIGTERM.
	"await": func(string) (int, bool) {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		fmt.Println("[autoresearch] waiting")
		<-terminated
		return 0, false
	},
	"flood": func(s string) (int, bool) {
		for range number(s) {
			fmt.Println(strings.Repeat("x", 1023))
		}
		return 0, false
	},
	// eat takes memory until it is stopped.
	"eat": func(string) (int, bool) {
		for eaten := [][]byte{}; ; {
			eaten = append(eaten, bytes.Repeat([]byte{1}, 1<<20))
		}
	},
	"pid":   func(string) (int, bool) { fmt.Println(os.Getpid()); return 0, false },
	"print": func(s string) (int, bool) { fmt.Print(os.ExpandEnv(s), "\n"); return 0, false },
	"stdin": func(string) (int, bool) {
		text, err := io.ReadAll(os.Stdin)
		fmt.Printf("stdin=%q error=%v\n", text, err != nil)
		return 0, false
	},
	"cwd": func(string) (int, bool) {
		dir, _ := os.Getwd()
		fmt.Println(dir)
		return 0, false
	},
	"supervise": supervise,
	"grouped":   grouped,
	"worker":    workerProcess,
	// spawn leaves a child of the same process group behind, and daemon one of its own session that holds our output.
	"spawn":  func(string) (int, bool) { return leaveChild(nil) },
	"daemon": func(string) (int, bool) { return leaveChild(&syscall.SysProcAttr{Setsid: true}) },
	// twice forks a daemon whose parent ends at once.
	"twice": func(string) (int, bool) {
		cmd := exec.Command(os.Args[0], "daemon")
		cmd.Stdout = os.Stdout
		return 97, cmd.Run() != nil
	},
	// deep leaves a chain of so many processes behind, each in a session of its own.
	"deep": func(s string) (int, bool) {
		if number(s) == 0 {
			fmt.Println("deep enough")
			return 0, false
		}
		cmd := exec.Command(os.Args[0], "ignore", fmt.Sprint("deep ", number(s)-1), "sleep 30000")
		cmd.Stdout, cmd.SysProcAttr = os.Stdout, &syscall.SysProcAttr{Setsid: true}
		return 96, cmd.Start() != nil
	},
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// leaveChild starts a process that ignores SIGTERM for half a minute and prints its number.
func leaveChild(attr *syscall.SysProcAttr) (int, bool) {
	cmd := exec.Command(os.Args[0], "ignore", "sleep 30000")
	cmd.Stdout, cmd.SysProcAttr = os.Stdout, attr
	if err := cmd.Start(); err != nil {
		return 98, true
	}
	fmt.Printf("[autoresearch] child=%d\n", cmd.Process.Pid)
	return 0, false
}
