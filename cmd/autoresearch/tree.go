package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

func treeCommand() *cobra.Command {
	var o remote
	var depth int
	cmd := &cobra.Command{
		Use:   "tree [ID|DIR]",
		Short: "Show the hypothesis tree",
		Long: "Show the hypothesis tree, or what stands below one task. The signs: * improved on all before it, + completed, x failed,\n" +
			"> runs, . waits.",
		Example: `  autoresearch tree runs/demo
  autoresearch tree exp-17 --depth 2
  autoresearch tree -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, root := "", first(args)
			if root != "" && isWorkdir(root) {
				dir, root = root, ""
			}
			return o.do(cmd, dir, func(ctx context.Context, s *session) error {
				return s.watching(ctx, func(ctx context.Context) error { return s.showTree(ctx, spec.TaskID(root), depth) })
			})
		},
	}
	cmd.Flags().IntVar(&depth, "depth", 0, "show at most `N` levels; 0 shows all")
	o.add(cmd)
	o.addOutput(cmd)
	o.addWatch(cmd)
	return cmd
}

// treePage is how many nodes are asked for at once.
const treePage = 10_000

func (s *session) showTree(ctx context.Context, root spec.TaskID, depth int) error {
	whole := api.Tree{Nodes: []api.Node{}}
	for cursor := ""; ; {
		page, err := s.Tree(ctx, s.run, root, cursor, treePage)
		if err != nil {
			return err
		}
		whole.Nodes = append(whole.Nodes, page.Nodes...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return s.print(whole, func(w *bytes.Buffer, wide bool) { writeTree(w, whole.Nodes, depth, wide) })
}

// branch is a node of the tree on its way to the screen.
type branch struct {
	node  *api.Node
	level int
	lead  string // what stands before it
}

// writeTree draws the nodes; those whose parent is not among them are roots. It keeps its own stack: a chain may be long.
func writeTree(w *bytes.Buffer, nodes []api.Node, depth int, wide bool) {
	kids := make(map[spec.TaskID][]*api.Node)
	known := make(map[spec.TaskID]bool, len(nodes))
	for i := range nodes {
		known[nodes[i].ID] = true
	}
	var roots []*api.Node
	for i := range nodes {
		if n := &nodes[i]; n.Parent != "" && known[n.Parent] {
			kids[n.Parent] = append(kids[n.Parent], n)
		} else {
			roots = append(roots, n)
		}
	}
	var stack []branch
	push := func(list []*api.Node, level int, lead string) {
		for i := len(list) - 1; i >= 0; i-- {
			stack = append(stack, branch{node: list[i], level: level, lead: lead})
		}
	}
	push(roots, 1, "")
	for len(stack) > 0 {
		b := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		fmt.Fprintf(w, "%s%s\n", b.lead, nodeText(b.node, wide))
		below := kids[b.node.ID]
		if depth > 0 && b.level >= depth {
			if len(below) > 0 {
				fmt.Fprintf(w, "%s    ... %d below\n", b.lead, len(below))
			}
			continue
		}
		push(below, b.level+1, b.lead+"    ")
	}
}

func nodeText(n *api.Node, wide bool) string {
	sign := "."
	switch {
	case n.Improved:
		sign = "*"
	case n.Status == spec.StatusCompleted:
		sign = "+"
	case n.Status == spec.StatusFailed:
		sign = "x"
	case n.Status == spec.StatusNodeRuns:
		sign = ">"
	}
	words := []string{sign, name(n.ID)}
	if n.Value != nil {
		words = append(words, value(n.Value))
	}
	if n.FailureKind != "" {
		words = append(words, string(n.FailureKind))
	}
	if wide {
		words = append(words, "("+name(n.Kind)+", priority "+n.Priority.String()+")")
	}
	return strings.Join(words, " ")
}
