package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// past is what jeton audit as-of was asked for.
type past struct {
	*remote
	moment     string
	engine     string
	permission string
	resource   string
	address    string
	all        bool
}

const momentUsage = "MOMENT is a time (2027-03-03T14:00:00Z, or 2027-03-03 for its beginning in UTC) or a position in the log."

func (r *remote) auditAsOfCommand() *cobra.Command {
	p := past{remote: r}
	cmd := &cobra.Command{
		Use: "as-of MOMENT [tokens|members|service-accounts|roles|permissions|policy|engines]", Short: "Show what was at a moment, or who could come in",
		Long: `Shows an organization as it was, from its log: its tokens, members, roles, policy or engines. With
--engine it lists the tokens that came in there then, and with --permission those that could do that.
How tokens were used is no history and is not shown.

` + momentUsage,
		Example: `  jeton audit as-of 2027-03-03T14:00:00Z tokens
  jeton audit as-of 2027-03-03 --engine prod --permission clones.create
  jeton audit as-of 1200 policy -o json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.moment = parseMoment(args[0])
			noun := ""
			if len(args) == 2 {
				noun = args[1]
			}
			return p.run(cmd.Context(), noun)
		},
	}
	cmd.Flags().StringVar(&p.engine, "engine", "", "list the tokens that came in at this engine, by its name or number")
	cmd.Flags().StringVar(&p.permission, "permission", "", "with --engine: what their bearers wanted to do")
	cmd.Flags().StringVar(&p.resource, "resource", "", "with --permission: on what, like clone:7")
	cmd.Flags().StringVar(&p.address, "address", "", "with --engine: from where")
	cmd.Flags().BoolVar(&p.all, "all", false, "with --engine: also those that did not come in, and why")
	return cmd
}

func (p *past) run(ctx context.Context, noun string) error {
	if p.engine != "" && noun != "" {
		return usage("--engine lists tokens, and needs no %s", noun)
	}
	if p.engine == "" && (p.permission != "" || p.resource != "" || p.address != "" || p.all) {
		return usage("--permission, --resource, --address and --all go with --engine")
	}
	show, known := pastNouns[noun]
	if !known {
		return usage("%q is nothing that has a past\n  next: take tokens, members, service-accounts, roles, permissions, policy or engines", noun)
	}
	return p.within(ctx, func(ctx context.Context, c *client, org string) error {
		if p.engine != "" {
			return p.who(ctx, c, org)
		}
		return show(ctx, p, c, org)
	})
}

// pastNouns are what can be shown; nothing is the organization itself.
var pastNouns = map[string]func(context.Context, *past, *client, string) error{
	"":                 pastOne("", organizationShape),
	"policy":           pastOne("/policy", policyShape),
	"tokens":           pastList("/tokens", tokenShape),
	"members":          pastList("/members", memberShape),
	"service-accounts": pastList("/service-accounts", serviceAccountShape),
	"roles":            pastWhole("/roles", roleShape),
	"permissions":      pastWhole("/permissions", permissionShape),
	"engines":          pastList("/engines", engineShape),
}

func pastList[T any](path string, s shape[T]) func(context.Context, *past, *client, string) error {
	return func(ctx context.Context, p *past, c *client, org string) error {
		all, err := c.list(ctx, org+path, url.Values{"as_of": {p.moment}}, 0)
		if err != nil {
			return err
		}
		return s.list(p.program.Stdout, p.output, all)
	}
}

// pastWhole is for lists that come whole.
func pastWhole[T any](path string, s shape[T]) func(context.Context, *past, *client, string) error {
	return func(ctx context.Context, p *past, c *client, org string) error {
		all, err := c.all(ctx, org+path+"?"+url.Values{"as_of": {p.moment}}.Encode())
		if err != nil {
			return err
		}
		return s.list(p.program.Stdout, p.output, all)
	}
}

func pastOne[T any](path string, s shape[T]) func(context.Context, *past, *client, string) error {
	return func(ctx context.Context, p *past, c *client, org string) error {
		var raw json.RawMessage
		if err := c.do(ctx, "GET", org+path+"?"+url.Values{"as_of": {p.moment}}.Encode(), nil, &raw); err != nil {
			return err
		}
		return s.one(p.program.Stdout, p.output, raw)
	}
}

// entrant is a token at the door of an engine.
type entrant struct {
	Token   token  `json:"token"`
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
}

var entrantShape = shape[entrant]{
	cells: func(e entrant) []cell {
		return []cell{
			{"id", e.Token.ID, false}, {"name", e.Token.Name, false}, {"kind", e.Token.Kind, false}, {"holder", e.Token.heldBy(), false},
			{"networks", strings.Join(e.Token.Networks, " "), false}, {"comes in", first(yes(e.Allowed), "no: "+e.Reason), false},
		}
	},
	name: func(e entrant) string { return e.Token.ID },
}

// heldBy is who holds a token.
func (t token) heldBy() string {
	if t.ServiceAccount != nil {
		return t.ServiceAccount.Name
	}
	return t.Holder.String()
}

// who lists the tokens that came in at an engine. It may be gone by now: its name is
// looked for among those of then.
func (p *past) who(ctx context.Context, c *client, org string) error {
	raw, err := c.list(ctx, org+"/engines", url.Values{"as_of": {p.moment}}, 0)
	if err != nil {
		return err
	}
	engines, err := decodeAll[engineRow](raw)
	if err != nil {
		return err
	}
	number := func(e engineRow) string { return engineShape.cells(e)[0].text }
	id, err := oneOf(engines, func(e engineRow) bool { return e.Name == p.engine || number(e) == p.engine }, number, "engine", p.engine)
	if err != nil {
		return err
	}
	query := url.Values{"as_of": {p.moment}}
	for name, value := range map[string]string{"permission": p.permission, "resource": p.resource, "address": p.address} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if p.all {
		query.Set("all", "true")
	}
	all, err := c.list(ctx, org+"/engines/"+id+"/access", query, 0)
	if err != nil {
		return err
	}
	return entrantShape.list(p.program.Stdout, p.output, all)
}
