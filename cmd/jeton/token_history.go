package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// stepTold is something that has happened to a token, as the service shows it.
type stepTold struct {
	Position uint64    `json:"position"`
	At       time.Time `json:"at"`
	By       *doer     `json:"by"`
	told
	Around bool     `json:"around"`
	Reason string   `json:"reason"`
	Gained []string `json:"gained"`
	Lost   []string `json:"lost"`
}

func (r *remote) tokenHistoryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "history TOKEN", Short: "Show all that has happened to a token, and why",
		Long: `Shows all that has happened to a token since it was made, each step with who did it and why, and what
the token could do from then on. Steps marked * happened to what it depends on: its holder, a role,
a permission or the policy. -o json shows all that is known of each.`,
		Example: `  jeton token history laptop`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				id, err := c.findToken(ctx, org, args[0], "active", "waiting", "expired", "revoked")
				if err != nil {
					return err
				}
				return r.history(ctx, c, org+"/tokens/"+id, id)
			})
		},
	}
}

func (r *remote) history(ctx context.Context, c *client, path, id string) error {
	var all struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := c.do(ctx, "GET", path+"/history", nil, &all); err != nil {
		return err
	}
	if r.output == "json" {
		return writeJSON(r.program.Stdout, all)
	}
	steps, err := decodeAll[stepTold](all.Items)
	if err != nil {
		return err
	}
	n := newNarrator()
	for _, s := range steps {
		s.print(r.program.Stdout, r.output, id, n)
	}
	return nil
}

func (s stepTold) print(w io.Writer, output, id string, n *narrator) {
	if output == "name" {
		fmt.Fprintln(w, s.Kind)
		return
	}
	if s.Data == nil { // time did it
		s.Data = map[string]any{"token": id}
	}
	mark, place := " ", ""
	if s.Around {
		mark = "*"
	}
	if s.Position != 0 {
		place = fmt.Sprint(s.Position)
	}
	fmt.Fprintf(w, "%6s %s %s  %s\n", place, mark, s.At.UTC().Format(time.DateTime), n.sentence(s.Position, s.By, s.told))
	n.renames(s.told)
	s.effect(w)
}

// effect says what the token could do from then on.
func (s stepTold) effect(w io.Writer) {
	if s.Reason != "" && len(s.Lost) > 0 {
		fmt.Fprintf(w, "%31s opens nothing: %s\n", "", s.Reason)
		return
	}
	if len(s.Gained) > 0 {
		fmt.Fprintf(w, "%31s can now: %s\n", "", strings.Join(s.Gained, " "))
	}
	if len(s.Lost) > 0 {
		fmt.Fprintf(w, "%31s can no longer: %s\n", "", strings.Join(s.Lost, " "))
	}
}
