package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func (r *remote) tokenRotateCommand() *cobra.Command {
	var wanted struct {
		Overlap string `json:"overlap,omitempty"`
		expires
	}
	var until string
	cmd := &cobra.Command{
		Use: "rotate TOKEN", Short: "Give a token a new secret, which is shown this once",
		Long: `Gives a token a new secret, which is shown this once, and a new life as long as its first. Its old
secret ends at once, as it should after a leak, unless --overlap gives those who have it time to change.

A token that has expired can be rotated too. Whoever rotates the token that they work with has to keep
the new secret: in a context, with jeton context set.`,
		Example: `  jeton token rotate ci --overlap 1h
  jeton token rotate laptop --expires 30d
  jeton token rotate ci -o name > ci.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.expires = parseExpires(until)
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				id, err := c.findRotatable(ctx, org, args[0])
				if err != nil {
					return err
				}
				return r.changeToken(ctx, c, "POST", org+"/tokens/"+id+"/rotate", wanted)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.Overlap, "overlap", "", "how long the old secret still works, e.g. 1h or 2d; at most 7d, what the policy allows, and its own end")
	cmd.Flags().StringVar(&until, "expires", "", "when it ends: after 720h, 30d, 2w or 1y, at 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z (default: a life as long as before)")
	return cmd
}

// findRotatable is the live token of a name, or else one that has expired.
func (c *client) findRotatable(ctx context.Context, org, name string) (string, error) {
	id, err := c.findToken(ctx, org, name, live...)
	if c := (coded{}); !errors.As(err, &c) || c.code != exitNotFound {
		return id, err
	}
	return c.findToken(ctx, org, name, "expired")
}
