package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// replay is what jeton audit replay was asked for.
type replay struct {
	*remote
	from, to string
	step     bool
	enter    *bufio.Reader
}

func (r *remote) auditReplayCommand() *cobra.Command {
	p := replay{remote: r}
	cmd := &cobra.Command{
		Use: "replay", Short: "Tell what happened between two moments, a sentence for each event",
		Long: `Tells an organization's history as a person reads it: who did what to what, and why, by the names that
things had then. With --step it waits for Enter after each commit. -o json prints one commit a line.

` + momentUsage,
		Example: `  jeton audit replay --from 2027-03-03 --to 2027-03-04
  jeton audit replay --from 1200 --step`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&p.from, "from", "", "the first MOMENT (default: the beginning)")
	cmd.Flags().StringVar(&p.to, "to", "", "the last MOMENT (default: now)")
	cmd.Flags().BoolVar(&p.step, "step", false, "wait for Enter after each commit")
	return cmd
}

func (p *replay) run(ctx context.Context) error {
	p.enter = bufio.NewReader(p.program.Stdin)
	c, err := p.client()
	if err != nil {
		return err
	}
	org, err := p.organizationOf(ctx, c)
	if err != nil {
		return err
	}
	org = "organizations/" + url.PathEscape(org)
	after, err := p.position(ctx, c, org, p.from)
	if err != nil {
		return err
	}
	until, err := p.position(ctx, c, org, p.to)
	if err != nil {
		return err
	}
	if number, err := strconv.ParseUint(p.from, 10, 64); err == nil && number > 0 {
		after = number - 1 // the commit that was named, too
	}
	n, err := p.narrator(ctx, c, org, after)
	if err != nil {
		return err
	}
	return p.tell(ctx, c, org, n, after, until)
}

// position is the last commit by a moment. None is 0: the beginning, or no end.
func (p *replay) position(ctx context.Context, c *client, org, text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var same struct {
		From struct {
			Position uint64 `json:"position"`
		} `json:"from"`
	}
	query := url.Values{"from": {parseMoment(text)}, "to": {parseMoment(text)}}
	err := c.do(ctx, "GET", org+"/audit/diff?"+query.Encode(), nil, &same)
	if isNotFound(err) && text == p.from { // it was not there yet: that is the beginning
		return 0, nil
	}
	return same.From.Position, err
}

func isNotFound(err error) bool {
	var c coded
	return errors.As(err, &c) && c.code == exitNotFound
}

// narrator knows the names of what there was at a position.
func (p *replay) narrator(ctx context.Context, c *client, org string, at uint64) (*narrator, error) {
	n := newNarrator()
	if at == 0 {
		return n, nil
	}
	query := func() url.Values { return url.Values{"as_of": {strconv.FormatUint(at, 10)}} }
	raw, err := c.list(ctx, org+"/tokens", query(), 0)
	if isNotFound(err) {
		return n, nil
	}
	if err != nil {
		return nil, err
	}
	tokens, err := decodeAll[token](raw)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		n.tokens[t.ID] = t.Name
	}
	if raw, err = c.list(ctx, org+"/engines", query(), 0); err != nil {
		return nil, err
	}
	engines, err := decodeAll[engineRow](raw)
	for _, e := range engines {
		n.engines[strconv.FormatUint(e.ID, 10)] = e.Name
	}
	return n, err
}

// commitTold is a commit as replay tells it.
type commitTold struct {
	Position uint64    `json:"position"`
	At       time.Time `json:"at"`
	Actor    *doer     `json:"actor"`
	Events   []told    `json:"events"`
}

func (p *replay) tell(ctx context.Context, c *client, org string, n *narrator, after, until uint64) error {
	t := tail{remote: p.remote, after: after}
	for {
		part, err := t.read(ctx, c, org+"/log", 0)
		if err != nil || len(part) == 0 {
			return err
		}
		for _, raw := range part {
			var one commitTold
			if err := json.Unmarshal(raw, &one); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			if until != 0 && one.Position > until {
				return nil
			}
			if err := p.print(n, raw, one); err != nil {
				return err
			}
		}
	}
}

func (p *replay) print(n *narrator, raw json.RawMessage, c commitTold) error {
	w := p.program.Stdout
	switch p.output {
	case "json":
		fmt.Fprintf(w, "%s\n", raw)
	case "name":
		fmt.Fprintln(w, c.Position)
	default:
		for _, e := range c.Events {
			fmt.Fprintf(w, "%6d  %s  %s\n", c.Position, c.At.UTC().Format(time.DateTime), n.sentence(c.Position, c.Actor, e))
			n.renames(e)
		}
	}
	if !p.step {
		return nil
	}
	if _, err := p.enter.ReadString('\n'); err != nil {
		return nil // whoever steps has gone
	}
	return nil
}
