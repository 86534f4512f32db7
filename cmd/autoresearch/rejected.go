package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// rejectedOptions are the flags of the rejected commands.
type rejectedOptions struct {
	kept   cli.KeptFlags
	output string
	rule   string
}

func rejectedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rejected",
		Short: "Show the results that a run rejected, and why",
		Long: "Show what a run rejected: results that were malformed, forged, too large or came with too many children, and children\n" +
			"that could not be added. The newest are kept, with who sent them and the bytes as they came. It can be asked at any\n" +
			"time, also while the engine runs.",
		Example: "  autoresearch rejected list runs/demo\n" +
			"  autoresearch rejected list --nats nats://host:4222 --run demo --rule malformed\n" +
			"  autoresearch rejected show runs/demo 3",
	}
	cmd.AddCommand(rejectedListCommand(), rejectedShowCommand())
	return cmd
}

func rejectedListCommand() *cobra.Command {
	var o rejectedOptions
	cmd := &cobra.Command{
		Use:   "list (DIR | --nats URL --run NAME)",
		Short: "List what was rejected, oldest first",
		Example: "  autoresearch rejected list runs/demo\n" +
			"  autoresearch rejected list runs/demo -o json",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), first(args), func(store bus.Rejects) error {
				return o.list(cmd.Context(), store, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().StringVar(&o.rule, "rule", "", "only what broke `RULE`, as the list names it")
	o.add(cmd)
	return cmd
}

func rejectedShowCommand() *cobra.Command {
	var o rejectedOptions
	cmd := &cobra.Command{
		Use:   "show (DIR | --nats URL --run NAME) NUMBER",
		Short: "Show one rejection, decoded as far as it can be",
		Example: "  autoresearch rejected show runs/demo 3\n" +
			"  autoresearch rejected show --nats nats://host:4222 --run demo 3 -o json",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := args[len(args)-1]
			number, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return cli.Exit(cli.ExitUsage, fmt.Errorf("%q is no number of a rejection; list shows them", text))
			}
			return o.with(cmd.Context(), first(args[:len(args)-1]), func(store bus.Rejects) error {
				return o.show(cmd.Context(), store, number, cmd.OutOrStdout())
			})
		},
	}
	o.add(cmd)
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (o *rejectedOptions) add(cmd *cobra.Command) {
	o.kept.Add(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "output `FORMAT`: text or json")
}

// with opens what the run keeps and calls fn.
func (o *rejectedOptions) with(ctx context.Context, workdir string, fn func(bus.Rejects) error) error {
	if o.output != "text" && o.output != "json" {
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be text or json", o.output))
	}
	conn, run, stop, err := o.kept.Open(ctx, workdir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(fn(bus.NewRejects(conn, run, bus.StreamOptions{})), stop())
}

func (o *rejectedOptions) list(ctx context.Context, store bus.Rejects, out io.Writer) error {
	list := []rejectionJSON{}
	err := store.List(ctx, func(number uint64, r *bus.Rejected) error {
		if o.rule == "" || string(r.Rule) == o.rule {
			row := jsonOf(number, r)
			row.Data = nil // show has it
			list = append(list, row)
		}
		return nil
	})
	if err != nil && !errors.Is(err, bus.ErrMissing) { // nothing was ever rejected
		return err
	}
	if o.output == "json" {
		return writeJSON(out, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "nothing was rejected")
		return err
	}
	return writeRejections(out, list)
}

func writeRejections(out io.Writer, list []rejectionJSON) error {
	var b bytes.Buffer
	b.WriteString("NUMBER\tAT\tRULE\tWORKER\tTASK\tATTEMPT\tBYTES\tREASON\n")
	for _, r := range list {
		task := r.Task
		if r.Child != "" {
			task += " -> " + r.Child
		}
		fmt.Fprintf(&b, "%d\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.Number, r.At, harmless(r.Rule, 30), harmless(r.Worker, 30),
			harmless(task, 40), r.Attempt, r.Size, harmless(r.Reason, 120))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	return w.Flush()
}

func (o *rejectedOptions) show(ctx context.Context, store bus.Rejects, number uint64, out io.Writer) error {
	r, err := store.Get(ctx, number)
	if errors.Is(err, bus.ErrMissing) {
		return fmt.Errorf("rejection %d is not kept, or not any more; list shows what is", number)
	}
	if err != nil {
		return err
	}
	if o.output == "json" {
		return writeJSON(out, jsonOf(number, r))
	}
	return writeRejection(out, number, r)
}

// rejectionJSON is a rejection as -o json writes it. Data is what arrived, cut to what is kept.
type rejectionJSON struct {
	Number  uint64 `json:"number"`
	At      string `json:"at"`
	Rule    string `json:"rule"`
	Reason  string `json:"reason"`
	Epoch   uint64 `json:"epoch"`
	Worker  string `json:"worker"`
	Boot    uint64 `json:"boot"`
	Run     string `json:"run"`
	Task    string `json:"task"`
	Attempt uint32 `json:"attempt"`
	Claim   string `json:"claim"`
	Child   string `json:"child,omitempty"`
	Size    int64  `json:"size"`
	Blob    string `json:"blob,omitempty"`
	Data    []byte `json:"data,omitempty"`
}

func jsonOf(number uint64, r *bus.Rejected) rejectionJSON {
	j := rejectionJSON{
		Number: number, At: r.At.Time().Format(time.RFC3339), Rule: string(r.Rule), Reason: r.Reason, Epoch: r.Epoch,
		Worker: string(r.Worker), Boot: r.Boot, Run: string(r.Run), Task: string(r.Task), Attempt: r.Attempt,
		Claim: strconv.FormatUint(uint64(r.Claim), 16), Child: string(r.Child), Size: r.Size, Data: r.Data,
	}
	if r.Stored != (spec.Blob{}) {
		j.Blob = r.Stored.Digest.String()
	}
	return j
}
