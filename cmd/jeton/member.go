package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// member is a member as the service shows them.
type member struct {
	ID        uint64    `json:"id"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	Suspended bool      `json:"suspended"`
	Reason    string    `json:"reason"`
	AddedAt   time.Time `json:"added_at"`
	Limit     *limit    `json:"limit"`
	Token     string    `json:"token"`
}

var memberShape = shape[member]{
	cells: func(m member) []cell {
		return []cell{
			{"id", strconv.FormatUint(m.ID, 10), false}, {"email", m.Email, false}, {"role", m.Role, false},
			{"suspended", yes(m.Suspended), false}, {"added", moment(m.AddedAt, ""), false},
			{"reason", m.Reason, true}, {"limit", m.Limit.String(), true}, {"secret", m.Token, true},
		}
	},
	name: func(m member) string { return first(m.Token, strconv.FormatUint(m.ID, 10)) },
}

func (p *Program) memberCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "member", Short: "Add, list, change and remove members of an organization",
		Long: `Adds, lists, changes and removes members of an organization.

MEMBER is a member's number or e-mail address. Roles: owner, admin, member, auditor, who reads
everything and changes nothing, and what the organization has made (see jeton role list).`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.memberAddCommand(), r.memberListCommand(), r.memberShowCommand(), r.memberRoleCommand(), r.memberEditCommand(),
		r.memberSuspendCommand(), r.memberReinstateCommand(), r.memberRemoveCommand())
	return cmd
}

func (r *remote) memberAddCommand() *cobra.Command {
	var wanted struct {
		Email string `json:"email"`
		Role  string `json:"role"`
		expires
	}
	var until string
	cmd := &cobra.Command{
		Use: "add EMAIL", Short: "Add a member; the secret of their first token is shown this once",
		Example: `  jeton member add mia@acme.test --role admin
  jeton member add leo@acme.test -o name > leo.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.Email, wanted.expires = args[0], parseExpires(until)
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				var made json.RawMessage
				if err := c.do(ctx, "POST", org+"/members", wanted, &made); err != nil {
					return err
				}
				return r.showAdded(c, made)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.Role, "role", "member", "what they may do: owner, admin, member, auditor, or a role of the organization's own")
	cmd.Flags().StringVar(&until, "expires", "", strings.Replace(expiresUsage, ", or never", "", 1)+"; their first token")
	return cmd
}

// showAdded shows a new member. No secret is there if it was in an answer before
// this one, or if the platform gives members no first token.
func (r *remote) showAdded(c *client, raw json.RawMessage) error {
	var m member
	if err := json.Unmarshal(raw, &m); err == nil && m.Token == "" && c.replayed {
		return lost("the member "+m.Email, "jeton member remove "+m.Email+", and add them again")
	}
	return memberShape.one(r.program.Stdout, r.output, raw)
}

func (r *remote) memberListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List members", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.list(ctx, org+"/members", nil, limit)
				if err != nil {
					return err
				}
				return memberShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (r *remote) memberShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show MEMBER", Short: "Show a member", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onMember(cmd.Context(), args[0], "GET", nil)
		},
	}
}

func (r *remote) memberRoleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "role MEMBER ROLE", Short: "Give a member another role", Args: cobra.ExactArgs(2),
		Example: `  jeton member role mia@acme.test auditor`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onMember(cmd.Context(), args[0], "PATCH", map[string]any{"role": args[1]})
		},
	}
}

func (r *remote) memberEditCommand() *cobra.Command {
	var role string
	var most *limit
	cmd := &cobra.Command{
		Use: "edit MEMBER", Short: "Change a member's role, or how often their tokens may be used", Args: cobra.ExactArgs(1),
		Example: `  jeton member edit mia@acme.test --limit 1000/1h
  jeton member edit mia@acme.test --role auditor --limit none`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changes(cmd); err != nil {
				return err
			}
			change := map[string]any{}
			if cmd.Flags().Changed("role") {
				change["role"] = role
			}
			if most != nil {
				change["limit"] = most
			}
			return r.onMember(cmd.Context(), args[0], "PATCH", change)
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "what they may do from now on")
	cmd.Flags().Var(limitOf(&most), "limit", "how often all their tokens together may be used, e.g. 1000/1h; none: as the organization has it")
	return cmd
}

func (r *remote) memberSuspendCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "suspend MEMBER", Short: "Let a member and their tokens do nothing until they are reinstated", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]any{"suspended": true}
			if reason != "" {
				change["reason"] = reason
			}
			return r.onMember(cmd.Context(), args[0], "PATCH", change)
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (r *remote) memberReinstateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reinstate MEMBER", Short: "End a suspension", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onMember(cmd.Context(), args[0], "PATCH", map[string]any{"suspended": false})
		},
	}
}

func (r *remote) memberRemoveCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "remove MEMBER", Short: "Remove a member and revoke their tokens in the organization", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				id, err := c.findMember(ctx, org, args[0])
				if err != nil {
					return err
				}
				return c.do(ctx, "DELETE", withReason(org+"/members/"+id, reason), nil, nil)
			})
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}

// onMember sends a request about a member and shows them as they are then.
func (r *remote) onMember(ctx context.Context, who, method string, change map[string]any) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		id, err := c.findMember(ctx, org, who)
		if err != nil {
			return err
		}
		var body any
		if change != nil {
			body = change
		}
		var now json.RawMessage
		if err := c.do(ctx, method, org+"/members/"+id, body, &now); err != nil {
			return err
		}
		return memberShape.one(r.program.Stdout, r.output, now)
	})
}

// findMember is the number of a member who is named by it or by their e-mail.
func (c *client) findMember(ctx context.Context, org, who string) (string, error) {
	if _, err := strconv.ParseUint(who, 10, 64); err == nil {
		return who, nil
	}
	raw, err := c.list(ctx, org+"/members", nil, 0)
	if err != nil {
		return "", err
	}
	all, err := decodeAll[member](raw)
	if err != nil {
		return "", err
	}
	return oneOf(all, func(m member) bool { return strings.EqualFold(m.Email, who) },
		func(m member) string { return strconv.FormatUint(m.ID, 10) }, "member", who)
}
