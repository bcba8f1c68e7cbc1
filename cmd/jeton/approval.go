package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// approval is a token that waits until somebody decides.
type approval struct {
	Token       token     `json:"token"`
	RequestedBy *author   `json:"requested_by"`
	Until       time.Time `json:"until"`
}

var approvalShape = shape[approval]{
	cells: func(a approval) []cell {
		return []cell{
			{"id", a.Token.ID, false}, {"name", a.Token.Name, false}, {"kind", a.Token.Kind, false}, {"grant", a.Token.Grant.String(), false},
			{"asked for by", a.RequestedBy.String(), false}, {"until", moment(a.Until, ""), false},
		}
	},
	name: func(a approval) string { return a.Token.ID },
}

func (p *Program) approvalCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "approval", Short: "List, approve and refuse tokens that wait",
		Long: `Lists, approves and refuses tokens that wait for approval, as the policy wants it (see jeton policy).
Somebody else decides than who asked for the token, and a token that nobody decides about lapses.

TOKEN is the id or the name of a token that waits.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.approvalListCommand(), r.approvalApproveCommand(), r.approvalRefuseCommand())
	return cmd
}

func (r *remote) approvalListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens that wait, the oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.all(ctx, org+"/approvals")
				if err != nil {
					return err
				}
				return approvalShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
}

func (r *remote) approvalApproveCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "approve TOKEN", Short: "Let a token that waits begin to work", Args: cobra.ExactArgs(1),
		Example: `  jeton approval approve deploy --reason "as agreed in CHG-1042"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.decide(cmd.Context(), args[0], "approve", reason)
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (r *remote) approvalRefuseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "refuse TOKEN --reason TEXT", Short: "End a token that waits", Args: cobra.ExactArgs(1),
		Example: `  jeton approval refuse deploy --reason "read-only is enough"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage("--reason is missing\n  next: say why, for whoever asked")
			}
			return r.decide(cmd.Context(), args[0], "refuse", reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever asked")
	return cmd
}

func (r *remote) decide(ctx context.Context, name, verdict, reason string) error {
	body := map[string]string{}
	if reason != "" {
		body["reason"] = reason
	}
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		id, err := c.findWaiting(ctx, org, name)
		if err != nil {
			return err
		}
		return r.changeToken(ctx, c, "POST", org+"/approvals/"+id+"/"+verdict, body)
	})
}

// findWaiting asks the list of what waits, which whoever decides may see.
func (c *client) findWaiting(ctx context.Context, org, name string) (string, error) {
	if tokenID.MatchString(name) {
		return name, nil
	}
	raw, err := c.all(ctx, org+"/approvals")
	if err != nil {
		return "", err
	}
	all, err := decodeAll[approval](raw)
	if err != nil {
		return "", err
	}
	return oneOf(all, func(a approval) bool { return a.Token.Name == name }, approvalShape.name, "token that waits, called", name)
}
