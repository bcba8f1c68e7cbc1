package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// differences is what differs between two moments, as the service shows it.
type differences struct {
	Organization    []fieldChange `json:"organization"`
	Tokens          []difference  `json:"tokens"`
	MoreTokens      int           `json:"more_tokens"`
	Members         []difference  `json:"members"`
	ServiceAccounts []difference  `json:"service_accounts"`
	Roles           []difference  `json:"roles"`
	Permissions     []difference  `json:"permissions"`
	Policy          []fieldChange `json:"policy"`
	Engines         []difference  `json:"engines"`
}

type difference struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Change string        `json:"change"`
	Fields []fieldChange `json:"fields"`
}

type fieldChange struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

func (r *remote) auditDiffCommand() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use: "diff", Short: "Show what differs between two moments",
		Long: "Shows what differs of an organization between two moments: what was added (+), removed (-) and\nchanged (~), field by field.\n\n" + momentUsage,
		Example: `  jeton audit diff --from 2027-03-01 --to 2027-04-01
  jeton audit diff --from 1200 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return r.diff(ctx, c, org, parseMoment(from), parseMoment(to))
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the earlier MOMENT")
	cmd.Flags().StringVar(&to, "to", "", "the later MOMENT (default: now)")
	_ = cmd.MarkFlagRequired("from")
	return cmd
}

func (r *remote) diff(ctx context.Context, c *client, org, from, to string) error {
	query := url.Values{"from": {from}}
	if to != "" {
		query.Set("to", to)
	}
	var raw json.RawMessage
	if err := c.do(ctx, "GET", org+"/audit/diff?"+query.Encode(), nil, &raw); err != nil {
		return err
	}
	if r.output == "json" {
		return writeJSON(r.program.Stdout, raw)
	}
	var d differences
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	d.print(r.program.Stdout, r.output)
	return nil
}

func (d differences) print(w io.Writer, output string) {
	if len(d.Organization) > 0 {
		difference{Change: "changed", ID: "organization", Fields: d.Organization}.print(w, "", output)
	}
	if len(d.Policy) > 0 {
		difference{Change: "changed", ID: "policy", Fields: d.Policy}.print(w, "", output)
	}
	for _, part := range []struct {
		noun string
		all  []difference
	}{
		{"role", d.Roles}, {"permission", d.Permissions}, {"member", d.Members}, {"service account", d.ServiceAccounts}, {"engine", d.Engines}, {"token", d.Tokens},
	} {
		for _, one := range part.all {
			one.print(w, part.noun+" ", output)
		}
	}
	if d.MoreTokens > 0 && output == "table" {
		fmt.Fprintf(w, "and %d more tokens\n", d.MoreTokens)
	}
}

var changeSigns = map[string]string{"added": "+", "removed": "-", "changed": "~"}

func (d difference) print(w io.Writer, noun, output string) {
	if output == "name" {
		fmt.Fprintln(w, noun+d.ID)
		return
	}
	name := d.ID
	if d.Name != "" {
		name += " " + d.Name
	}
	fmt.Fprintf(w, "%s %s%s\n", changeSigns[d.Change], noun, name)
	if d.Change != "changed" {
		return
	}
	for _, f := range d.Fields {
		fmt.Fprintf(w, "    %s: %s -> %s\n", f.Field, plainJSON(f.Before), plainJSON(f.After))
	}
}

// plainJSON is a value as people read it.
func plainJSON(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return moment(at, "none")
		}
		return text
	}
	if len(raw) == 0 {
		return "none"
	}
	return string(raw)
}
