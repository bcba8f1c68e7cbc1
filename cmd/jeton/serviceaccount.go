package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// serviceAccount is a service account as the service shows it.
type serviceAccount struct {
	ID          uint64    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Grant       *grant    `json:"grant"`
	Disabled    bool      `json:"disabled"`
	Limit       *limit    `json:"limit"`
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   *author   `json:"created_by"`
	Version     uint64    `json:"version"`
}

var serviceAccountShape = shape[serviceAccount]{
	cells: func(s serviceAccount) []cell {
		return []cell{
			{"id", strconv.FormatUint(s.ID, 10), false}, {"name", s.Name, false}, {"grant", s.Grant.String(), false}, {"disabled", yes(s.Disabled), false},
			{"description", s.Description, true}, {"limit", s.Limit.String(), true},
			{"created", moment(s.CreatedAt, ""), true}, {"created by", s.CreatedBy.String(), true},
		}
	},
	name: func(s serviceAccount) string { return strconv.FormatUint(s.ID, 10) },
}

func (p *Program) serviceAccountCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "service-account", Aliases: []string{"sa"}, Short: "Make, list, edit, disable and delete service accounts",
		Long: `Makes, lists, shows, edits, disables, enables and deletes service accounts: programs of an organization
that hold tokens of their own and belong to no person.

ACCOUNT is a service account's number or name. Its tokens are made and listed with
jeton token create NAME --service-account ACCOUNT, and jeton token list --service-account ACCOUNT.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.serviceAccountListCommand(), r.serviceAccountShowCommand(), r.serviceAccountCreateCommand(), r.serviceAccountEditCommand(),
		r.serviceAccountSwitchCommand("disable", "Let a service account and its tokens do nothing until it is enabled", true),
		r.serviceAccountSwitchCommand("enable", "Let a service account and its tokens work again", false),
		r.serviceAccountDeleteCommand())
	return cmd
}

func (r *remote) serviceAccountListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List service accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.list(ctx, org+"/service-accounts", nil, limit)
				if err != nil {
					return err
				}
				return serviceAccountShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (r *remote) serviceAccountShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ACCOUNT", Short: "Show a service account", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onServiceAccount(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeServiceAccount(ctx, c, "GET", path, 0, nil)
			})
		},
	}
}

func (r *remote) serviceAccountCreateCommand() *cobra.Command {
	var wanted struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
		Grant       *grant `json:"grant"`
	}
	var given *grantFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a service account",
		Long: `Makes a service account. What it may do is said by one of --grant, --role and --permission, and is never
more than you may do yourself. Its tokens never do more than it may at that moment.`,
		Example: `  jeton service-account create deploy --role ci
  jeton service-account create backup --permission engines.read --resource engine:prod --description "nightly"
  jeton token create deploy-1 --service-account deploy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			wanted.Name = args[0]
			if !given.access() {
				return usage("what the service account may do is not said\n  next: give --grant, --role or --permission")
			}
			if wanted.Grant, err = given.over(nil); err != nil {
				return err
			}
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return r.changeServiceAccount(ctx, c, "POST", org+"/service-accounts", 0, wanted)
			})
		},
	}
	given = newGrantFlags(cmd, "read-only", "full-access")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what it is for")
	return cmd
}

// serviceAccountChange is what is to be otherwise; what is nil stays.
type serviceAccountChange struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	Grant       *grant  `json:"grant,omitempty"`
	Disabled    *bool   `json:"disabled,omitempty"`
	Limit       *limit  `json:"limit,omitempty"`
}

func (r *remote) serviceAccountEditCommand() *cobra.Command {
	var change serviceAccountChange
	var name, description string
	var given *grantFlags
	cmd := &cobra.Command{
		Use: "edit ACCOUNT", Short: "Change a service account's name, description, grant and limit",
		Long: `Changes what is given and leaves the rest as it is. What it may do from now on counts at the next check
of its tokens.

A grant is changed in parts: --resource alone keeps what the service account may do, and narrows or
widens on what.`,
		Example: `  jeton service-account edit deploy --role release --limit 1000/1h
  jeton service-account edit deploy --resource engine:prod`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changes(cmd); err != nil {
				return err
			}
			change.Name, change.Description = changed(cmd, "name", name), changed(cmd, "description", description)
			return r.onServiceAccount(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.editServiceAccount(ctx, c, path, change, given)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what it is called from now on")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, from now on")
	given = newGrantFlags(cmd, "read-only", "full-access")
	cmd.Flags().Var(limitOf(&change.Limit), "limit", "how often all its tokens together may be used, e.g. 1000/1h; none: as the organization has it")
	return cmd
}

// editServiceAccount reads it first if its grant is changed in parts, and changes it
// only as it was read.
func (r *remote) editServiceAccount(ctx context.Context, c *client, path string, change serviceAccountChange, given *grantFlags) error {
	var was serviceAccount
	if given.given() {
		if err := c.do(ctx, "GET", path, nil, &was); err != nil {
			return err
		}
	}
	var err error
	if change.Grant, err = given.over(was.Grant); err != nil {
		return err
	}
	return r.changeServiceAccount(ctx, c, "PATCH", path, was.Version, change)
}

func (r *remote) serviceAccountSwitchCommand(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ACCOUNT", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onServiceAccount(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeServiceAccount(ctx, c, "PATCH", path, 0, serviceAccountChange{Disabled: &disabled})
			})
		},
	}
}

func (r *remote) serviceAccountDeleteCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "delete ACCOUNT", Short: "Delete a service account and revoke its tokens, for ever", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onServiceAccount(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return c.do(ctx, "DELETE", withReason(path, reason), nil, nil)
			})
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}

// changeServiceAccount sends a request and shows the service account that is answered.
func (r *remote) changeServiceAccount(ctx context.Context, c *client, method, path string, version uint64, change any) error {
	var now json.RawMessage
	if err := c.doSeen(ctx, method, path, version, change, &now); err != nil {
		return err
	}
	return serviceAccountShape.one(r.program.Stdout, r.output, now)
}

// onServiceAccount runs do with the path of the service account that somebody named.
func (r *remote) onServiceAccount(ctx context.Context, name string, do func(context.Context, *client, string) error) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		id, err := c.findServiceAccount(ctx, org, name)
		if err != nil {
			return err
		}
		return do(ctx, c, org+"/service-accounts/"+id)
	})
}

// findServiceAccount is the number of a service account that is named by it or by
// its name; no name is none.
func (c *client) findServiceAccount(ctx context.Context, org, name string) (string, error) {
	if _, err := strconv.ParseUint(name, 10, 64); err == nil || name == "" {
		return name, nil
	}
	raw, err := c.list(ctx, org+"/service-accounts", nil, 0)
	if err != nil {
		return "", err
	}
	all, err := decodeAll[serviceAccount](raw)
	if err != nil {
		return "", err
	}
	return oneOf(all, func(s serviceAccount) bool { return s.Name == name }, serviceAccountShape.name, "service account", name)
}
