package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// auditEntry is something that has happened, as the service shows it.
type auditEntry struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Actor  *author   `json:"actor"`
	Action string    `json:"action"`
	Target struct {
		Kind   string  `json:"kind"`
		ID     string  `json:"id"`
		Name   string  `json:"name"`
		Person *person `json:"person"`
	} `json:"target"`
	Outcome string          `json:"outcome"`
	Reason  string          `json:"reason"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
	Request string          `json:"request"`
	Address string          `json:"address"`
	Agent   string          `json:"agent"`
}

// target is what somebody would call it.
func (e auditEntry) target() string {
	switch t := e.Target; {
	case t.Person != nil:
		return t.Person.Email
	case t.Name != "":
		return t.Kind + " " + t.Name
	default:
		return strings.TrimSpace(t.Kind + " " + t.ID)
	}
}

var auditShape = shape[auditEntry]{
	cells: func(e auditEntry) []cell {
		at := ""
		if !e.At.IsZero() {
			at = e.At.UTC().Format(time.DateTime)
		}
		return []cell{
			{"id", e.ID, false}, {"at", at, false}, {"actor", e.Actor.String(), false}, {"action", e.Action, false},
			{"target", e.target(), false}, {"outcome", e.Outcome, false}, {"reason", e.Reason, false},
		}
	},
	name: func(e auditEntry) string { return e.ID },
}

// auditFilter is what entries are asked for.
type auditFilter struct {
	url.Values
	token, secretFile string
}

// auditFlags gives a command the filters of the audit log.
func auditFlags(cmd *cobra.Command) *auditFilter {
	f := &auditFilter{Values: url.Values{}}
	for _, flag := range []struct{ name, usage string }{
		{"actor", "only what somebody did: the number of an account, an e-mail, me, or the id of a token"},
		{"action", "only this kind of event, or all that begin with a word: token.*"},
		{"target", "only what was done to this: an id, a number, a name, an e-mail"},
		{"kind", "only what was done to this kind of thing, e.g. token or member"},
		{"outcome", "only what was done, or refused"},
		{"address", "only requests from this IP address"},
		{"from", "only at this time or later, e.g. 2027-03-03T14:00:00Z"},
		{"to", "only before this time"},
	} {
		cmd.Flags().Var(parameter{f.Values, flag.name}, flag.name, flag.usage)
	}
	cmd.Flags().Var(parameter{f.Values, "q"}, "search", "only with these words in a reason or a name")
	cmd.Flags().StringVar(&f.token, "token", "", "only what was done to this token, or with it: its id, its number, or the public beginning of its secret")
	cmd.Flags().StringVar(&f.secretFile, "secret-file", "", `only what was done to the token, or with it, whose secret is in this file; "-" is standard input. Only its hash is sent`)
	cmd.Flags().Var(parameter{f.Values, "hash"}, "hash", "the same by the SHA-256 of the secret, in hexadecimal")
	return f
}

// query is the filters as they are sent. A secret stays here: what is sent is its hash.
func (f *auditFilter) query(p *Program) (url.Values, error) {
	if f.token != "" {
		f.Set("token", strings.TrimPrefix(f.token, "jtn_"))
	}
	if f.secretFile != "" {
		if f.Get("hash") != "" {
			return nil, usage("--hash and --secret-file say the same\n  next: give one of them")
		}
		secret, err := p.readSecret(f.secretFile, "secret to be searched for")
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(secret))
		f.Set("hash", hex.EncodeToString(sum[:]))
	}
	return f.Values, nil
}

func (r *remote) auditListCommand() *cobra.Command {
	var limit int
	var count, above bool
	var f *auditFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List what has happened, the newest first",
		Long: `Lists the entries of the audit log that meet all filters, the newest first: who did what to what, when,
and why. -o json has all that is known of each, also what was before and after. --count says only how many
there are.`,
		Example: `  jeton audit list --action token.* --from 2027-03-03T14:00:00Z
  jeton audit list --actor ann@acme.test --outcome refused -o json
  jeton audit list --secret-file found.token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := f.query(r.program)
			if err != nil {
				return err
			}
			within := r.within
			if above {
				within = r.above
			}
			return within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				if count {
					return r.auditCount(ctx, c, org, query)
				}
				all, err := c.list(ctx, path.Join(org, "audit"), query, limit)
				if err != nil {
					return err
				}
				return auditShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	f = auditFlags(cmd)
	limitFlag(cmd, &limit)
	cmd.Flags().BoolVar(&count, "count", false, "only say how many there are")
	cmd.Flags().BoolVar(&above, "platform", false, "what happened above organizations: people, operators, signing keys (operators)")
	return cmd
}

// above is within for what is in no organization.
func (r *remote) above(ctx context.Context, do func(context.Context, *client, string) error) error {
	return r.ask(ctx, func(ctx context.Context, c *client) error { return do(ctx, c, "") })
}

func (r *remote) auditCount(ctx context.Context, c *client, org string, query url.Values) error {
	query.Set("count", "true")
	query.Set("limit", "1")
	var page struct {
		Total int64 `json:"total"`
	}
	if err := c.do(ctx, "GET", path.Join(org, "audit")+"?"+query.Encode(), nil, &page); err != nil {
		return err
	}
	_, err := fmt.Fprintln(r.program.Stdout, page.Total)
	return err
}
