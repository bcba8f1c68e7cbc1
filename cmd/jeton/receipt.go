package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// receipts is how far a revocation has come: which processes of engines have
// confirmed that it holds there.
type receipts struct {
	Token     string    `json:"token"`
	Revoked   bool      `json:"revoked"`
	RevokedAt time.Time `json:"revoked_at"`
	Position  uint64    `json:"position"`
	Complete  bool      `json:"complete"`
	Engines   []receipt `json:"engines"`
}

// receipt is that of one process.
type receipt struct {
	Engine    uint64    `json:"engine"`
	Name      string    `json:"name"`
	Instance  string    `json:"instance"`
	Connected bool      `json:"connected"`
	Confirmed bool      `json:"confirmed"`
	TookMS    *float64  `json:"took_ms"` // nil: longer ago than is remembered
	ClosesAt  time.Time `json:"closes_at"`
	Position  uint64    `json:"position"`
}

var receiptsShape = shape[receipts]{
	cells: func(r receipts) []cell {
		cells := []cell{{"token", r.Token, false}, {"revoked", moment(r.RevokedAt, "no"), false}, {"holds everywhere", r.everywhere(), false}}
		for _, e := range r.Engines {
			cells = append(cells, cell{e.Name + " " + e.Instance, e.String(), true})
		}
		return cells
	},
	name: func(r receipts) string { return r.Token },
}

func (r receipts) everywhere() string {
	switch {
	case !r.Revoked:
		return ""
	case r.Complete:
		return "yes"
	}
	return "not yet"
}

func (r receipt) String() string {
	switch {
	case r.Confirmed && r.TookMS == nil:
		return "confirmed"
	case r.Confirmed:
		return fmt.Sprintf("confirmed after %d ms", int(math.Round(*r.TookMS)))
	case r.Connected:
		return fmt.Sprintf("not confirmed yet, it is at %d", r.Position)
	case r.ClosesAt.IsZero():
		return "not connected"
	}
	return "not connected: it lets nobody in from " + r.ClosesAt.UTC().Format(time.DateTime) + " on"
}

func (r *remote) tokenRevocationCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "revocation TOKEN", Short: "Show which engines have confirmed that a token is revoked",
		Long: `Shows for every process of every engine of the organization whether it has confirmed that the token is
revoked, and how long that took. One that is not connected lets nobody in once its copy is too old: when
that is, is shown.

Exit code 0: the revocation holds everywhere. 6: not yet, also after --wait. 5: the token is not revoked.`,
		Example: `  jeton token revocation 0123456789abcdef
  jeton token revocation 0123456789abcdef --wait=30s -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.timeout += wait
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				id, err := c.findRevoked(ctx, org, args[0])
				if err != nil {
					return err
				}
				return r.awaitReceipts(ctx, c, org, []string{id}, wait)
			})
		},
	}
	waitFlag(cmd, &wait)
	return cmd
}

// findRevoked is the revoked token of a name, or else a live one.
func (c *client) findRevoked(ctx context.Context, org, name string) (string, error) {
	id, err := c.findToken(ctx, org, name, "revoked")
	if c := (coded{}); !errors.As(err, &c) || c.code != exitNotFound {
		return id, err
	}
	return c.findToken(ctx, org, name, live...)
}

// waitFlag is for how long is waited until a revocation holds everywhere.
func waitFlag(cmd *cobra.Command, at *time.Duration) {
	cmd.Flags().Var(duration(at), "wait", "wait so long until every engine has confirmed it, and say how long each took; --wait alone: 10s")
	cmd.Flags().Lookup("wait").NoOptDefVal = "10s"
}

// awaitReceipts shows how far revocations have come, at the latest when the time to
// wait is over. Whatever is missing then is an error.
func (r *remote) awaitReceipts(ctx context.Context, c *client, org string, ids []string, wait time.Duration) error {
	end := time.Now().Add(wait)
	var missing error
	for _, id := range ids {
		raw, got, err := c.receipts(ctx, org+"/tokens/"+id+"/revocation", end)
		if err != nil {
			return err
		}
		if err := receiptsShape.one(r.program.Stdout, r.output, raw); err != nil {
			return err
		}
		missing = errors.Join(missing, got.missing())
	}
	return missing
}

// missing says what a revocation lacks; nil: nothing.
func (r receipts) missing() error {
	switch {
	case !r.Revoked:
		return coded{fmt.Errorf("the token %s is not revoked\n  next: jeton token revoke %s", r.Token, r.Token), exitConflict}
	case !r.Complete:
		return coded{fmt.Errorf("the token %s is revoked, but not every engine has confirmed it\n  next: jeton token revocation %s --wait", r.Token, r.Token), exitUnavailable}
	}
	return nil
}

// receiptPause is between two questions, of which each waits at the service.
const (
	receiptPause = 100 * time.Millisecond
	receiptWait  = 30 // seconds, that the service waits at most
)

// receipts asks until a revocation is complete or the time is over.
func (c *client) receipts(ctx context.Context, path string, end time.Time) (raw json.RawMessage, got receipts, err error) {
	for {
		left := time.Until(end)
		query := url.Values{}
		if seconds := int(math.Ceil(left.Seconds())); seconds > 0 {
			query.Set("wait", strconv.Itoa(min(seconds, receiptWait)))
		}
		if err := c.do(ctx, "GET", withQuery(path, query), nil, &raw); err != nil {
			return raw, got, err
		}
		got = receipts{}
		if err := json.Unmarshal(raw, &got); err != nil {
			return raw, got, fmt.Errorf("read the answer: %w", err)
		}
		if !got.Revoked || got.Complete || time.Until(end) <= 0 {
			return raw, got, nil
		}
		select {
		case <-time.After(receiptPause):
		case <-ctx.Done():
			return raw, got, nil
		}
	}
}

func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
