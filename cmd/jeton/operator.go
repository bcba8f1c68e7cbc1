package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

var operatorShape = shape[person]{
	cells: func(o person) []cell {
		return []cell{{"id", strconv.FormatUint(o.ID, 10), false}, {"email", o.Email, false}}
	},
	name: func(o person) string { return strconv.FormatUint(o.ID, 10) },
}

func (p *Program) operatorCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "operator", Short: "Name, list and dismiss operators, who make organizations",
		Long: `Names, lists and dismisses the operators of the platform, who make organizations. An operator acts
with a personal token of the organization in which they were named, so they must be a member there.`,
	})
	cmd.AddCommand(r.operatorAddCommand(), r.operatorListCommand(), r.operatorRemoveCommand())
	return cmd
}

func (r *remote) operatorAddCommand() *cobra.Command {
	return &cobra.Command{
		Use: "add EMAIL", Short: "Name an operator", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				var named json.RawMessage
				if err := c.do(ctx, "POST", "operators", map[string]string{"email": args[0]}, &named); err != nil {
					return err
				}
				return operatorShape.one(r.program.Stdout, r.output, named)
			})
		},
	}
}

func (r *remote) operatorListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List operators", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				all, err := c.all(ctx, "operators")
				if err != nil {
					return err
				}
				return operatorShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
}

func (r *remote) operatorRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove OPERATOR", Short: "Dismiss an operator, by number or e-mail address", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				id, err := c.findOperator(ctx, args[0])
				if err != nil {
					return err
				}
				return c.do(ctx, "DELETE", "operators/"+id, nil, nil)
			})
		},
	}
}

func (c *client) findOperator(ctx context.Context, who string) (string, error) {
	if _, err := strconv.ParseUint(who, 10, 64); err == nil {
		return who, nil
	}
	raw, err := c.all(ctx, "operators")
	if err != nil {
		return "", err
	}
	all, err := decodeAll[person](raw)
	if err != nil {
		return "", err
	}
	return oneOf(all, func(o person) bool { return strings.EqualFold(o.Email, who) }, operatorShape.name, "operator", who)
}
