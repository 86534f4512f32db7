package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Program is the program that is asked.
const Program = "nvidia-smi"

// killPatience is how long after SIGKILL a call may take to end.
const killPatience = time.Second

var (
	// ErrNone: this machine has no GPU that can be used: no nvidia-smi, no driver, or no device.
	ErrNone = errors.New("no GPU")
	// ErrHangs: nvidia-smi has not answered in time.
	ErrHangs = errors.New("nvidia-smi does not answer")
)

// SMI asks nvidia-smi, one call at a time. Its methods may be called concurrently.
type SMI struct {
	program string
	timeout time.Duration
	turn    chan struct{} // holds a token while a call is under way
}

// NewSMI returns an SMI whose looks take at most timeout.
func NewSMI(program string, timeout time.Duration) *SMI {
	return &SMI{program: program, timeout: timeout, turn: make(chan struct{}, 1)}
}

// Look asks for all GPUs and their state. The error is ErrNone where there is none, and ErrHangs when there is no answer in
// time.
func (s *SMI) Look(ctx context.Context) (Look, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	rows, err := s.rows(ctx)
	if err != nil {
		return Look{}, err
	}
	look := Look{GPUs: map[string]State{}}
	for _, r := range rows {
		look.GPUs[r.device.UUID] = r.state
		if !r.mig {
			look.Devices = append(look.Devices, r.device)
		}
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.mig }) {
		text, err := s.call(ctx, "-L")
		if err != nil {
			return Look{}, err
		}
		look.Devices = append(look.Devices, parseInstances(text, rows)...)
	}
	text, err := s.call(ctx, "--query-compute-apps=pid,gpu_uuid", "--format=csv,noheader")
	if err != nil {
		return Look{}, err
	}
	parseProcesses(text, look.GPUs)
	return look, nil
}

// rows asks for the state of each GPU, in the order of the PCI bus.
func (s *SMI) rows(ctx context.Context) ([]row, error) {
	text, err := s.call(ctx, "--query-gpu="+fieldsKnown+fieldsHealth, "--format=csv,noheader,nounits")
	if strings.Contains(text, "is not a valid field") {
		text, err = s.call(ctx, "--query-gpu="+fieldsKnown, "--format=csv,noheader,nounits")
	}
	rows := parseGPUs(text)
	switch {
	case len(rows) > 0: // an error then is about those that are not listed
		slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.state.Bus, b.state.Bus) })
		return rows, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%w: nvidia-smi lists none: %s", ErrNone, brief(text))
}

// noGPU are the exit codes by which nvidia-smi says that there is no device, no driver, or no library of it.
var noGPU = []int{6, 9, 12}

// call runs nvidia-smi once. What it printed is returned beside an error too.
func (s *SMI) call(ctx context.Context, args ...string) (text string, err error) {
	select {
	case s.turn <- struct{}{}:
	default:
		return "", fmt.Errorf("%w: an earlier call has not ended", ErrHangs)
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := s.execute(ctx, args)
		<-s.turn
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-ctx.Done():
	}
	select { // it is being killed
	case a := <-answered:
		return a.text, a.err
	case <-time.After(killPatience):
		return "", fmt.Errorf("%w, nor to SIGKILL", ErrHangs)
	}
}

func (s *SMI) execute(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, s.program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, killPatience/2
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	text, exit := out.String(), (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return text, nil
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w: %w", ErrNone, err)
	case ctx.Err() != nil:
		return text, fmt.Errorf("%w: %w", ErrHangs, ctx.Err())
	case strings.Contains(text, "No devices were found"), errors.As(err, &exit) && slices.Contains(noGPU, exit.ExitCode()):
		return text, fmt.Errorf("%w: %s", ErrNone, brief(text))
	}
	return text, fmt.Errorf("%s %s: %w: %s", s.program, args[0], err, brief(text))
}

// brief is the beginning of what a program printed, on one line.
func brief(text string) string {
	words := strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(words[:min(len(words), 200)], "")
}
