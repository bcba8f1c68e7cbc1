package main

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// token is a token as the service shows it.
type token struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Kind        string    `json:"kind"`
	Description string    `json:"description"`
	Status      string    `json:"status"`
	Suspended   bool      `json:"suspended"`
	Holder      *person   `json:"holder"`
	ExpiresAt   time.Time `json:"expires_at"`
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   *author   `json:"created_by"`
	RevokedAt   time.Time `json:"revoked_at"`
	RevokedBy   *author   `json:"revoked_by"`
	Reason      string    `json:"reason"`
	Secret      string    `json:"secret"`
}

var tokenShape = shape[token]{
	cells: func(t token) []cell {
		return []cell{
			{"id", t.ID, false}, {"name", t.Name, false}, {"kind", t.Kind, false}, {"status", t.standing(), false},
			{"holder", t.Holder.String(), false}, {"expires", moment(t.ExpiresAt, "never"), false},
			{"description", t.Description, true},
			{"created", moment(t.CreatedAt, ""), true}, {"created by", t.CreatedBy.String(), true},
			{"revoked", moment(t.RevokedAt, ""), true}, {"revoked by", t.RevokedBy.String(), true}, {"reason", t.Reason, true},
			{"secret", t.Secret, true},
		}
	},
	name: func(t token) string { return first(t.Secret, t.ID) },
}

func (t token) standing() string {
	if t.Suspended {
		return t.Status + ", holder suspended"
	}
	return t.Status
}

func (p *Program) tokenCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "token", Short: "Make, list, rename and revoke tokens",
		Long: `Makes, lists, shows, renames and revokes tokens of an organization.

TOKEN is a token's id, or the name of an active one. Members see and manage their own personal
tokens, admins and owners see all tokens of the organization and may revoke any.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.tokenCreateCommand(), r.tokenListCommand(), r.tokenShowCommand(), r.tokenRenameCommand(), r.tokenRevokeCommand())
	return cmd
}

// expires are the fields of a request for when a new token ends.
type expires struct {
	At string `json:"expires_at,omitempty"`
	In string `json:"expires_in,omitempty"`
}

const expiresUsage = "when it ends: after 720h, 30d, 2w or 1y, at 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z, or never (default: after a year)"

var day = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// parseExpires sorts what somebody typed; the service says whether it is right.
func parseExpires(text string) expires {
	switch {
	case day.MatchString(text):
		return expires{At: text + "T00:00:00Z"}
	case strings.Contains(text, "T"):
		return expires{At: text}
	}
	return expires{In: text}
}

func (r *remote) tokenCreateCommand() *cobra.Command {
	var wanted struct {
		Name        string `json:"name"`
		Kind        string `json:"kind"`
		Description string `json:"description,omitempty"`
		expires
	}
	var until string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a token; its secret is shown this once",
		Example: `  jeton token create laptop --expires 30d
  jeton token create billing --kind administrative --expires never --description "nightly export"
  TOKEN=$(jeton token create ci -o name)`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.Name, wanted.expires = args[0], parseExpires(until)
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				var made json.RawMessage
				if err := c.do(ctx, "POST", org+"/tokens", wanted, &made); err != nil {
					return err
				}
				return r.showMade(made)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.Kind, "kind", "personal", "personal: yours; administrative: the organization's, made by admins and owners")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what it is for")
	cmd.Flags().StringVar(&until, "expires", "", expiresUsage)
	return cmd
}

func (r *remote) showMade(raw json.RawMessage) error {
	var t token
	if err := json.Unmarshal(raw, &t); err == nil && t.Secret == "" {
		return lost("the token "+t.ID, "jeton token revoke "+t.ID+", and make another one")
	}
	return tokenShape.one(r.program.Stdout, r.output, raw)
}

func (r *remote) tokenListCommand() *cobra.Command {
	var kind, status, holder, search string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens, the newest first: all that you may see",
		Example: `  jeton token list --status active --kind administrative
  jeton token list -o json | jq -r '.[].name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for name, value := range map[string]string{"kind": kind, "status": status, "holder": holder, "q": search} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.list(ctx, org+"/tokens", query, limit)
				if err != nil {
					return err
				}
				return tokenShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "only personal or administrative ones")
	cmd.Flags().StringVar(&status, "status", "", "only active, expired or revoked ones")
	cmd.Flags().StringVar(&holder, "holder", "", "only those of the member with this number, or of me")
	cmd.Flags().StringVarP(&search, "search", "q", "", "only those with this in their names")
	limitFlag(cmd, &limit)
	return cmd
}

func (r *remote) tokenShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show TOKEN", Short: "Show a token, without its secret", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeToken(ctx, c, "GET", path, nil)
			})
		},
	}
}

func (r *remote) tokenRenameCommand() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use: "rename TOKEN NAME", Short: "Give a token another name, or another description",
		Example: `  jeton token rename laptop old-laptop --description "in the drawer"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]string{"name": args[1]}
			if cmd.Flags().Changed("description") {
				change["description"] = description
			}
			return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeToken(ctx, c, "PATCH", path, change)
			})
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for, from now on")
	return cmd
}

func (r *remote) tokenRevokeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "revoke TOKEN", Short: "Revoke a token, for ever", Args: cobra.ExactArgs(1),
		Long:    `Revokes a token. When the command has ended, the token opens nothing any more. There is no way back.`,
		Example: `  jeton token revoke laptop --reason "left in a train"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeToken(ctx, c, "DELETE", withReason(path, reason), nil)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the log")
	return cmd
}

func (r *remote) changeToken(ctx context.Context, c *client, method, path string, change any) error {
	var now json.RawMessage
	if err := c.do(ctx, method, path, change, &now); err != nil {
		return err
	}
	return tokenShape.one(r.program.Stdout, r.output, now)
}

var tokenID = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{16}$`)

// onToken runs do with the path of the token that somebody named.
func (r *remote) onToken(ctx context.Context, name string, do func(context.Context, *client, string) error) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		id, err := c.findToken(ctx, org, name)
		if err != nil {
			return err
		}
		return do(ctx, c, org+"/tokens/"+id)
	})
}

// findToken is the id of the active token with a name, unless it is one itself.
func (c *client) findToken(ctx context.Context, org, name string) (string, error) {
	if tokenID.MatchString(name) {
		return name, nil
	}
	raw, err := c.list(ctx, org+"/tokens", url.Values{"q": {name}, "status": {"active"}}, 0)
	if err != nil {
		return "", err
	}
	found, err := decodeAll[token](raw)
	if err != nil {
		return "", err
	}
	return oneOf(found, func(t token) bool { return t.Name == name }, func(t token) string { return t.ID }, "active token", name)
}
