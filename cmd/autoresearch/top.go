package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
)

func topCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:   "top [DIR]",
		Short: "Watch a run: what runs and how far it is, what comes next, workers, the best so far",
		Long: "Watch a run on the whole terminal: what runs, with progress and newest metrics; what comes next; the workers; and the\n" +
			"best so far. It goes on through restarts of the server. Keys: q ends it, p pauses and resumes the run.",
		Example: `  autoresearch top runs/demo
  autoresearch top --server http://coordinator:8080 --run demo`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, first(args), func(ctx context.Context, s *session) error { return s.top(ctx, cmd.InOrStdin()) })
		},
	}
	cmd.Flags().DurationVar(&o.interval, "interval", time.Second, "look so often")
	o.add(cmd)
	return cmd
}

// glance is what one frame of top shows.
type glance struct {
	run     api.Run
	running []api.Task
	queue   []api.Task
	workers []api.Worker
	trouble string // why it could not be looked at
	now     time.Time
}

// topRows bounds what is asked for; a terminal has no more rows.
const topRows = 200

// look asks for everything that a frame shows.
func (s *session) look(ctx context.Context) (g glance, err error) {
	g.now = time.Now()
	if g.run, err = s.Run(ctx, s.run); err != nil {
		return g, err
	}
	running, err := s.Tasks(ctx, s.run, api.TaskQuery{Status: []string{"running", "dispatched", "reported"}, Sort: "started", Limit: topRows})
	if err != nil {
		return g, err
	}
	queue, err := s.Tasks(ctx, s.run, api.TaskQuery{Status: []string{"queued"}, Sort: "queue", Limit: topRows})
	if err != nil {
		return g, err
	}
	g.running, g.queue = running.Tasks, queue.Tasks
	g.workers, err = s.Workers(ctx, s.run)
	return g, err
}

// top draws frames until somebody ends it. Where there is no terminal it draws one.
func (s *session) top(ctx context.Context, in io.Reader) error {
	out, isFile := s.out.(*os.File)
	if !isFile || !term.IsTerminal(int(out.Fd())) {
		g, err := s.look(ctx)
		if err != nil {
			return err
		}
		_, err = io.WriteString(s.out, strings.Join(g.frame(100, topRows), "\n")+"\n")
		return err
	}
	ctx, signals := cli.NotifySignals(ctx)
	defer signals.Stop()
	keys, restore := keysOf(in)
	defer restore()
	put(out, "\x1b[?1049h\x1b[?25l") // a screen of its own, without a cursor
	defer put(out, "\x1b[?25h\x1b[?1049l")
	var g glance
	for {
		next, err := s.look(ctx)
		switch {
		case ctx.Err() != nil:
			return cli.Exit(signals.Code(), nil)
		case err == nil:
			g = next
		case cli.ExitCode(exitOf(err)) != exitUnreachable:
			return err
		default:
			g.trouble = err.Error()
		}
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil {
			return err
		}
		draw(out, g.frame(width, height))
		if ended, err := s.between(ctx, keys, &g); ended || err != nil {
			return err
		}
	}
}

// draw writes a frame over the one before.
func draw(out io.Writer, lines []string) {
	put(out, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J")
}

// put writes to a terminal; one that is gone ends the program by a signal.
func put(out io.Writer, text string) { _, _ = io.WriteString(out, text) }

// between waits for the next frame and takes keys meanwhile.
func (s *session) between(ctx context.Context, keys <-chan byte, g *glance) (ended bool, err error) {
	select {
	case <-ctx.Done():
		return false, nil
	case <-time.After(s.o.interval):
		return false, nil
	case key := <-keys:
		switch key {
		case 'q', 'Q', 3: // Ctrl-C is a key here
			return true, nil
		case 'p', 'P':
			return false, s.togglePause(ctx, g)
		}
	}
	return false, nil
}

func (s *session) togglePause(ctx context.Context, g *glance) error {
	change := s.Pause
	if g.run.Paused {
		change = s.Resume
	}
	var p *api.Problem
	if _, err := change(ctx, s.run, api.ControlRequest{Reason: "from top"}, g.run.Version); errors.As(err, &p) {
		g.trouble = p.Message
	} else if err != nil {
		return err
	}
	return nil
}

// keysOf reads single keys from a terminal. The goroutine that reads ends with the process: nothing can end a read of a
// terminal.
func keysOf(in io.Reader) (keys <-chan byte, restore func()) {
	f, isFile := in.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return nil, func() {}
	}
	before, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, func() {}
	}
	pressed := make(chan byte)
	go func() {
		var b [1]byte
		for {
			if n, err := f.Read(b[:]); err != nil || n == 0 {
				return
			}
			pressed <- b[0]
		}
	}()
	return pressed, func() { _ = term.Restore(int(f.Fd()), before) } // the process ends
}
