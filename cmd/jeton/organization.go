package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// organization is an organization as the service shows it.
type organization struct {
	ID        uint64    `json:"id"`
	Alias     string    `json:"alias"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	Owner     *person   `json:"owner"`
	Token     string    `json:"token"`
}

var organizationShape = shape[organization]{
	cells: func(o organization) []cell {
		return []cell{
			{"id", strconv.FormatUint(o.ID, 10), false}, {"alias", o.Alias, false}, {"name", o.Name, false},
			{"created", moment(o.CreatedAt, ""), false}, {"owner", o.Owner.String(), true}, {"secret", o.Token, true},
		}
	},
	name: func(o organization) string { return first(o.Token, o.Alias) },
}

func (p *Program) organizationCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "organization", Aliases: []string{"org"}, Short: "Make, list, rename and delete organizations",
		Long: `Makes, lists, shows, renames and deletes organizations. Operators of the platform make them and see all;
everybody else sees their own. A token is bound to one organization: an operator's opens nothing
in another one.`,
	})
	cmd.AddCommand(r.organizationCreateCommand(), r.organizationListCommand(), r.organizationShowCommand(), r.organizationRenameCommand(),
		r.organizationDeleteCommand())
	return cmd
}

func (r *remote) organizationCreateCommand() *cobra.Command {
	var wanted struct {
		Alias string `json:"alias"`
		Name  string `json:"name"`
		Owner string `json:"owner_email,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "create ALIAS", Short: "Make an organization; the secret of its owner's first token is shown this once",
		Example: `  jeton organization create acme --name "Acme Inc" --owner ann@acme.test
  jeton organization create acme --name "Acme Inc" -o name > acme.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.Alias = args[0]
			wanted.Name = first(wanted.Name, wanted.Alias)
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				var made json.RawMessage
				if err := c.do(ctx, "POST", "organizations", wanted, &made); err != nil {
					return err
				}
				return r.showFounded(made)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.Name, "name", "", "its name for people (default: the alias)")
	cmd.Flags().StringVar(&wanted.Owner, "owner", "", "e-mail address of its owner (default: you)")
	return cmd
}

func (r *remote) showFounded(raw json.RawMessage) error {
	var o organization
	if err := json.Unmarshal(raw, &o); err == nil && o.Token == "" {
		return lost("the organization "+o.Alias, "make another one, with another alias")
	}
	return organizationShape.one(r.program.Stdout, r.output, raw)
}

func (r *remote) organizationListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List organizations: all for operators, your own for others", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				all, err := c.list(ctx, "organizations", nil, limit)
				if err != nil {
					return err
				}
				return organizationShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (r *remote) organizationShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show [ORGANIZATION]", Short: "Show an organization, by alias or number; your own without", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				r.organization = args[0]
			}
			return r.onOrganization(cmd.Context(), "GET", nil)
		},
	}
}

func (r *remote) organizationRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename NAME", Short: "Give your organization another name; its alias stays", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onOrganization(cmd.Context(), "PATCH", map[string]string{"name": args[0]})
		},
	}
}

func (r *remote) organizationDeleteCommand() *cobra.Command {
	var confirm, reason string
	cmd := &cobra.Command{
		Use: "delete ALIAS --confirm ALIAS", Short: "Delete an organization with everything in it, for ever",
		Long: `Deletes an organization with everything in it. When the command has ended, none of its tokens opens
anything any more. There is no way back, and its alias is never given again. Only its owners may, and
they say its alias twice, so that nobody deletes another one than they mean.`,
		Example: `  jeton organization delete acme --confirm acme --reason "moved to acme-group"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if confirm == "" {
				return usage("deleting an organization can't be undone\n  next: repeat its alias: --confirm %s", args[0])
			}
			query := url.Values{"alias": {confirm}}
			if reason != "" {
				query.Set("reason", reason)
			}
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error {
				return c.do(ctx, "DELETE", "organizations/"+url.PathEscape(args[0])+"?"+query.Encode(), nil, nil)
			})
		},
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "the alias once more")
	reasonFlag(cmd, &reason)
	return cmd
}

func (r *remote) onOrganization(ctx context.Context, method string, change map[string]string) error {
	return r.within(ctx, func(ctx context.Context, c *client, path string) error {
		var body any
		if change != nil {
			body = change
		}
		var now json.RawMessage
		if err := c.do(ctx, method, path, body, &now); err != nil {
			return err
		}
		return organizationShape.one(r.program.Stdout, r.output, now)
	})
}

// whoami is who the service takes the bearer of the token for.
type whoami struct {
	Organization organization `json:"organization"`
	Account      *person      `json:"account"`
	Service      *struct {
		ID   uint64 `json:"id"`
		Name string `json:"name"`
	} `json:"service_account"`
	Role        string    `json:"role"`
	Permissions []string  `json:"permissions"`
	Operator    bool      `json:"operator"`
	Token       string    `json:"token"`
	Kind        string    `json:"kind"`
	On          []string  `json:"on"`
	Warning     string    `json:"warning"`
	ExpiresAt   time.Time `json:"expires_at"`
}
