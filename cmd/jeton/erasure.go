package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (r *remote) accountEraseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "erase ACCOUNT", Short: "Forget what is known of a person, for ever",
		Long: `Deletes the account of a person, unless that was done before, and the key that their e-mail address and
where they came from are encrypted with. When the command has ended nobody can read those any more: the
log says what was done, by a pseudonym. There is no way back, but for backups of the keys until they are
deleted. Operators of the platform may; who is the only owner of an organization, and the last
operator, stay.

ACCOUNT is the number of the account, or the e-mail address of a member of your organization. Who was
deleted before has a number only.`,
		Example: `  jeton account erase mia@acme.test --reason "asked for it"
  jeton account erase 7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				id, err := c.findMember(ctx, org, args[0])
				if err != nil {
					return err
				}
				return c.do(ctx, "POST", "accounts/"+id+"/erase", struct {
					Reason string `json:"reason,omitempty"`
				}{reason}, nil)
			})
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}
