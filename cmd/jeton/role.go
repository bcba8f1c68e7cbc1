package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// role is a role as the service shows it.
type role struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions"`
}

var roleShape = shape[role]{
	cells: func(r role) []cell {
		return []cell{
			{"name", r.Name, false}, {"type", r.Type, false}, {"description", r.Description, false},
			{"permissions", strings.Join(r.Permissions, " "), true},
		}
	},
	name: func(r role) string { return r.Name },
}

func (p *Program) roleCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "role", Short: "List, make, change and delete roles",
		Long: `Lists, shows, makes, changes and deletes roles of an organization: named sets of permissions, for
members, service accounts and tokens. Some are in every organization and never change by hand.

What a role allows from now on counts at the next check, for all who have it. Nobody puts more into a
role than they may do themselves.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.roleListCommand(), r.roleShowCommand(), r.roleCreateCommand(), r.roleEditCommand(), r.roleDeleteCommand())
	return cmd
}

func (r *remote) roleListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List roles", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.all(ctx, org+"/roles")
				if err != nil {
					return err
				}
				return roleShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
}

func (r *remote) roleShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ROLE", Short: "Show a role and what it allows", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onRole(cmd.Context(), "GET", "/"+url.PathEscape(args[0]), nil)
		},
	}
}

func (r *remote) roleCreateCommand() *cobra.Command {
	var wanted struct {
		Name        string   `json:"name"`
		Description string   `json:"description,omitempty"`
		Permissions []string `json:"permissions"`
	}
	var permissions []string
	cmd := &cobra.Command{
		Use: "create NAME --permission PERMISSION...", Short: "Make a role",
		Example: `  jeton role create release --permission tokens.check --permission engines.read --description "for release pipelines"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.Name, wanted.Permissions = args[0], listed(permissions)
			return r.onRole(cmd.Context(), "POST", "", wanted)
		},
	}
	cmd.Flags().Var(several{&permissions, "PERMISSION"}, "permission", "what it allows; can be given several times (see jeton permission list)")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what it is for")
	return cmd
}

func (r *remote) roleEditCommand() *cobra.Command {
	var change struct {
		Description *string   `json:"description,omitempty"`
		Permissions *[]string `json:"permissions,omitempty"`
	}
	var description string
	var permissions []string
	cmd := &cobra.Command{
		Use: "edit ROLE", Short: "Change what a role allows, for all who have it", Args: cobra.ExactArgs(1),
		Example: `  jeton role edit release --permission tokens.check
  jeton role edit release --description "for the pipelines of the web team"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changes(cmd); err != nil {
				return err
			}
			change.Description, change.Permissions = changed(cmd, "description", description), changed(cmd, "permission", listed(permissions))
			return r.onRole(cmd.Context(), "PATCH", "/"+url.PathEscape(args[0]), change)
		},
	}
	cmd.Flags().Var(several{&permissions, "PERMISSION"}, "permission", "what it allows from now on, all of it; can be given several times; none: nothing")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, from now on")
	return cmd
}

func (r *remote) roleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete ROLE", Short: "Delete a role that no member and no service account has", Args: cobra.ExactArgs(1),
		Long: `Deletes a role that no member and no service account has any more. Tokens that were given the role can
do nothing from then on; a role that is made later under the same name is another one.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return c.do(ctx, "DELETE", org+"/roles/"+url.PathEscape(args[0]), nil, nil)
			})
		},
	}
}

// onRole sends a request about roles and shows the one that is answered.
func (r *remote) onRole(ctx context.Context, method, path string, body any) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		var now json.RawMessage
		if err := c.do(ctx, method, org+"/roles"+path, body, &now); err != nil {
			return err
		}
		return roleShape.one(r.program.Stdout, r.output, now)
	})
}
