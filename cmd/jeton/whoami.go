package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

var whoamiShape = shape[whoami]{
	cells: func(w whoami) []cell {
		return []cell{
			{"organization", fmt.Sprintf("%s (%d, %s)", w.Organization.Alias, w.Organization.ID, w.Organization.Name), false},
			{"account", w.Account.String(), false}, {"service account", w.program(), false}, {"role", w.Role, false}, {"operator", yes(w.Operator), false},
			{"token", w.Token, false}, {"kind", w.Kind, false}, {"expires", moment(w.ExpiresAt, "never"), false},
			{"permissions", strings.Join(w.Permissions, " "), true}, {"on", strings.Join(w.On, " "), true}, {"warning", w.Warning, true},
		}
	},
	name: func(w whoami) string { return first(w.Account.String(), w.program(), w.Organization.Alias) },
}

func (w whoami) program() string {
	if w.Service == nil {
		return ""
	}
	return first(w.Service.Name, strconv.FormatUint(w.Service.ID, 10))
}

func (p *Program) whoamiCommand() *cobra.Command {
	var r *remote
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "whoami", Short: "Show who you are to the service, and what you may do", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				var self json.RawMessage
				if err := c.do(ctx, "GET", "whoami", nil, &self); err != nil {
					return err
				}
				return whoamiShape.one(p.Stdout, r.output, self)
			})
		},
	})
	return cmd
}
