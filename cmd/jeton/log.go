package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// commit is what one command did, as the service shows it.
type commit struct {
	Position uint64    `json:"position"`
	At       time.Time `json:"at"`
	Actor    *author   `json:"actor"`
	Address  string    `json:"address"`
	Events   []struct {
		Kind   string         `json:"kind"`
		Data   map[string]any `json:"data"`
		Person *person        `json:"person"`
	} `json:"events"`
}

// commits is a part of the log. Next is where to go on.
type commits struct {
	Items []json.RawMessage `json:"items"`
	Next  uint64            `json:"next"`
}

func (p *Program) logCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{Use: "log", Short: "Read what happened in an organization"})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.logTailCommand())
	return cmd
}

// tail is what jeton log tail was asked for.
type tail struct {
	*remote
	after  uint64
	whole  bool // begin behind after, and not near the end
	lines  int
	follow bool
}

func (r *remote) logTailCommand() *cobra.Command {
	t := tail{remote: r}
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the last commits of the log, and those that come",
		Long: `Shows the last commits of an organization's log, the oldest first: who did what, and when. With -f it
goes on until it is interrupted. -o json prints one JSON object a line; -o name positions.`,
		Example: `  jeton log tail -f
  jeton log tail --after 120 -o json | jq -r '.events[].kind'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.whole = cmd.Flags().Changed("after")
			return t.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "wait for more, until interrupted")
	cmd.Flags().Uint64Var(&t.after, "after", 0, "begin behind this position instead of near the end; 0: at the beginning")
	cmd.Flags().IntVarP(&t.lines, "lines", "n", 20, "how many of the last commits to begin with")
	return cmd
}

func (t *tail) run(ctx context.Context) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	org, err := t.organizationOf(ctx, c)
	if err != nil {
		return err
	}
	path := "organizations/" + url.PathEscape(org) + "/log"
	if err := t.past(ctx, c, path); err != nil || !t.follow {
		return err
	}
	return t.future(ctx, c, path)
}

// past prints what is there already.
func (t *tail) past(ctx context.Context, c *client, path string) error {
	var last []json.RawMessage
	for {
		part, err := t.read(ctx, c, path, 0)
		if err != nil {
			return err
		}
		if len(part) == 0 {
			return t.print(last)
		}
		if t.whole {
			if err := t.print(part); err != nil {
				return err
			}
			continue
		}
		last = append(last, part...)
		last = last[max(0, len(last)-t.lines):]
	}
}

// waitSeconds is how long the service may hold a request for commits to come. It
// is shorter than its grace at the end, so that it need not cut us off.
const waitSeconds = 10

// future prints what comes, until it is interrupted.
func (t *tail) future(ctx context.Context, c *client, path string) error {
	for {
		part, err := t.read(ctx, c, path, waitSeconds)
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.print(part); err != nil {
			return err
		}
	}
}

// read asks for the next part of the log.
func (t *tail) read(ctx context.Context, c *client, path string, wait int) ([]json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout+time.Duration(wait)*time.Second)
	defer cancel()
	query := url.Values{"after": {strconv.FormatUint(t.after, 10)}, "limit": {strconv.Itoa(pageSize)}}
	if wait > 0 {
		query.Set("wait", strconv.Itoa(wait))
	}
	var part commits
	err := c.do(ctx, "GET", path+"?"+query.Encode(), nil, &part)
	if err == nil {
		t.after = part.Next
	}
	return part.Items, err
}

func (t *tail) print(part []json.RawMessage) error {
	if t.output == "json" {
		for _, raw := range part {
			if _, err := fmt.Fprintf(t.program.Stdout, "%s\n", raw); err != nil {
				return err
			}
		}
		return nil
	}
	all, err := decodeAll[commit](part)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := c.print(t.program.Stdout, t.output); err != nil {
			return err
		}
	}
	return nil
}

func (c commit) print(w io.Writer, output string) error {
	if output == "name" {
		_, err := fmt.Fprintln(w, c.Position)
		return err
	}
	for _, e := range c.Events {
		facts := []string{e.Person.String()}
		for _, name := range []string{"token", "name", "alias", "role", "action", "code", "target", "query", "reason"} {
			if text, ok := e.Data[name].(string); ok && text != "" {
				facts = append(facts, name+"="+strconv.Quote(text))
			}
		}
		for _, name := range []string{"count", "times"} {
			if n, ok := e.Data[name].(float64); ok {
				facts = append(facts, fmt.Sprintf("%s=%.0f", name, n))
			}
		}
		line := fmt.Sprintf("%6d  %s  %-22s %-20s %s", c.Position, c.At.UTC().Format(time.DateTime), c.Actor, e.Kind, strings.Join(facts, " "))
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}
