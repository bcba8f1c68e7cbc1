package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// auditTail is what jeton audit tail was asked for.
type auditTail struct {
	*remote
	query  url.Values
	path   string // of the audit log
	after  string // the id of the last entry, or of a heartbeat
	lines  int
	follow bool
}

func (r *remote) auditTailCommand() *cobra.Command {
	t := auditTail{remote: r}
	var f *auditFilter
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the last entries of the audit log, and those that come",
		Long: `Shows the last entries of the audit log that meet all filters, the oldest first. With -f it goes on until
it is interrupted: it comes again by itself when the connection breaks, and goes on behind the last entry
that it has shown, so that none is lost and none comes twice. -o json prints one JSON object a line; -o name
ids, which --after takes.`,
		Example: `  jeton audit tail -f --action token.*
  jeton audit tail -f --after 120.0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if t.query, err = f.query(r.program); err != nil {
				return err
			}
			return t.run(cmd.Context())
		},
	}
	f = auditFlags(cmd)
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "wait for more, until interrupted")
	cmd.Flags().StringVar(&t.after, "after", "", "begin behind this entry or position instead of near the end; 0: at the beginning")
	cmd.Flags().IntVarP(&t.lines, "lines", "n", 20, "how many of the last entries to begin with")
	return cmd
}

func (t *auditTail) run(ctx context.Context) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	org, err := t.organizationOf(ctx, c)
	if err != nil {
		return err
	}
	t.path = "organizations/" + url.PathEscape(org) + "/audit"
	if t.after == "" {
		err = t.last(ctx, c)
	} else if !t.follow {
		t.query.Set("after", t.after)
		err = t.past(ctx, c)
	}
	if err != nil || !t.follow {
		return err
	}
	return t.future(ctx, c)
}

// last prints the last entries.
func (t *auditTail) last(ctx context.Context, c *client) error {
	t.after = "0.0" // there may be none yet: then all that comes is behind it
	if t.lines == 0 && !t.follow {
		return nil
	}
	all, err := c.list(ctx, t.path, t.query, max(t.lines, 1))
	if err != nil {
		return err
	}
	if len(all) > 0 {
		var newest auditEntry
		if err := json.Unmarshal(all[0], &newest); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		t.after = newest.ID
	}
	slices.Reverse(all)
	for _, raw := range all[len(all)-min(len(all), t.lines):] {
		if err := t.print(raw); err != nil {
			return err
		}
	}
	return nil
}

// past prints all that there is behind a place.
func (t *auditTail) past(ctx context.Context, c *client) error {
	t.query.Set("format", "jsonl")
	lines, feed := io.Pipe()
	go func() { feed.CloseWithError(c.export(ctx, t.path+"/export?"+t.query.Encode(), feed)) }()
	defer lines.Close()
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, answerLimit)
	for scanner.Scan() {
		if err := t.print(scanner.Bytes()); err != nil {
			return err
		}
	}
	return scanner.Err()
}

const (
	tailSilence = 30 * time.Second // without a heartbeat: the connection is gone
	lastRetry   = 5 * time.Second
)

// future prints what comes, until it is interrupted.
func (t *auditTail) future(ctx context.Context, c *client) error {
	heard := false
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		before := t.after
		err := t.stream(ctx, c, func() { heard = true })
		if ctx.Err() != nil {
			return nil
		}
		if !heard || !broken(err) {
			return err
		}
		if t.after != before {
			wait = firstRetry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// broken reports whether a stream has ended so that it may go on: it was cut, or the
// service is away.
func broken(err error) bool {
	var c coded
	return !errors.As(err, &c) || c.code == exitUnavailable
}

// stream prints one connection's worth.
func (t *auditTail) stream(ctx context.Context, c *client, heard func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(tailSilence, cancel)
	defer silence.Stop()
	request, err := c.request(ctx, question{method: "GET", path: t.path + "/tail?" + t.query.Encode()})
	if err != nil {
		return err
	}
	request.Header.Set("Last-Event-ID", t.after)
	response, err := c.HTTP.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return c.read(response, nil)
	}
	heard()
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, answerLimit)
	var e sentEvent
	for scanner.Scan() {
		silence.Reset(tailSilence)
		if !e.take(scanner.Text()) {
			continue
		}
		if err := t.hear(e); err != nil {
			return err
		}
		e = sentEvent{}
	}
	return scanner.Err()
}

// sentEvent is an event as it is read, line by line.
type sentEvent struct{ id, kind, data string }

// take reads a line; the empty one ends the event.
func (e *sentEvent) take(line string) (whole bool) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		e.id = value
	case "event":
		e.kind = value
	case "data":
		e.data += value
	}
	return line == ""
}

// hear prints an entry, and remembers how far it is.
func (t *auditTail) hear(e sentEvent) error {
	switch e.kind {
	case "":
	case "behind":
		if strings.Contains(e.data, "true") {
			fmt.Fprintln(t.program.Stderr, "warning: the service's lists are behind its log; what happens now comes later")
		}
	case "end":
		return coded{errors.New("the token is not good any more, or may not read the log\n  next: show another one"), exitDenied}
	default:
		if err := t.print([]byte(e.data)); err != nil {
			return coded{err, exitError}
		}
	}
	if e.id != "" {
		t.after = e.id
	}
	return nil
}

func (t *auditTail) print(raw []byte) error {
	if t.output == "json" {
		_, err := fmt.Fprintf(t.program.Stdout, "%s\n", bytes.TrimSpace(raw))
		return err
	}
	var e auditEntry
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if t.output == "name" {
		_, err := fmt.Fprintln(t.program.Stdout, e.ID)
		return err
	}
	line := fmt.Sprintf("%10s  %s  %-22s %-22s %s", e.ID, e.At.UTC().Format(time.DateTime), e.Actor, e.Action, e.target())
	if e.Outcome == "refused" {
		line += " (refused)"
	}
	if e.Reason != "" {
		line += ": " + e.Reason
	}
	_, err := fmt.Fprintln(t.program.Stdout, strings.TrimRight(line, " "))
	return err
}
