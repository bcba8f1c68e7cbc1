package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *Program) accountCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{Use: "account", Short: "Delete the account of a person, or erase the person"})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.accountDeleteCommand(), r.accountEraseCommand())
	return cmd
}

func (r *remote) accountDeleteCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "delete ACCOUNT", Short: "Delete a person's account and all that is theirs, in every organization, for ever",
		Long: `Deletes the account of a person. When the command has ended, none of their tokens opens anything any
more, in any organization. There is no way back. Operators of the platform may; who is the only
owner of an organization, and the last operator, stay.

ACCOUNT is the number of the account, or the e-mail address of a member of your organization.`,
		Example: `  jeton account delete mia@acme.test --reason "left the company"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				id, err := c.findMember(ctx, org, args[0])
				if err != nil {
					return err
				}
				return c.do(ctx, "DELETE", withReason("accounts/"+id, reason), nil, nil)
			})
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}
