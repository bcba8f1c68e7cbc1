package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// revocation says which tokens are to end: those that meet all of it.
type revocation struct {
	IDs            []string `json:"ids,omitempty"`
	Holder         string   `json:"holder,omitempty"`
	ServiceAccount string   `json:"service_account,omitempty"`
	Kind           string   `json:"kind,omitempty"`
	Engine         string   `json:"engine,omitempty"`
	IssuedBefore   string   `json:"issued_before,omitempty"`
	Reason         string   `json:"reason,omitempty"`
}

// revoked is how many have ended.
type revoked struct {
	Count int `json:"revoked"`
}

var revokedShape = shape[revoked]{
	cells: func(r revoked) []cell { return []cell{{"revoked", strconv.Itoa(r.Count), false}} },
	name:  func(r revoked) string { return strconv.Itoa(r.Count) },
}

func (r *remote) tokenRevokeCommand() *cobra.Command {
	var wanted revocation
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "revoke [TOKEN]...", Short: "Revoke a token, several, or all that meet some conditions, for ever",
		Long: `Revokes tokens. When the command has ended, they open nothing any more. There is no way back.

One TOKEN alone is revoked and shown. Several of them, or conditions, end in one step all that meet
every condition, and how many these were is printed. The token that is shown to the service stays
unless it is named.

Engines with a copy of their own hear of it within moments. With --wait the command waits until all of
them have confirmed it, and prints for each how long that took; exit code 6 says that some have not in
that time. The tokens are revoked all the same.`,
		Example: `  jeton token revoke laptop --reason "left in a train"
  jeton token revoke laptop --wait
  jeton token revoke ci-1 --wait=30s -o json
  jeton token revoke ci-1 ci-2 ci-3
  jeton token revoke --holder mia@acme.test --issued-before 2026-06-30T12:00:00Z --reason "laptop stolen"
  jeton token revoke --kind administrative --issued-before now
  jeton token revoke --engine staging --reason "staging is gone"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.IssuedBefore = parsePast(wanted.IssuedBefore)
			if wanted.conditions() {
				if wait > 0 {
					return usage("--wait is for tokens that are named\n  next: leave it out, and see jeton token revocation")
				}
				return r.revokeMany(cmd.Context(), args, wanted)
			}
			if wait > 0 && len(args) > 0 {
				return r.revokeAndWait(cmd.Context(), args, wanted, wait)
			}
			switch len(args) {
			case 0:
				return usage("which tokens are to be revoked is not said\n  next: name them, or give --holder, --service-account, --kind, --engine or --issued-before")
			case 1:
				return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
					return r.changeToken(ctx, c, "DELETE", withReason(path, wanted.Reason), nil)
				})
			}
			return r.revokeMany(cmd.Context(), args, wanted)
		},
	}
	cmd.Flags().StringVar(&wanted.Holder, "holder", "", "only personal tokens of this member, by number or e-mail, or of me")
	cmd.Flags().StringVar(&wanted.ServiceAccount, "service-account", "", "only tokens of this service account, by name or number")
	cmd.Flags().StringVar(&wanted.Kind, "kind", "", "only personal, administrative or service ones")
	cmd.Flags().StringVar(&wanted.Engine, "engine", "", "only tokens that are limited to the engine of this name, and perhaps to others, or whose service account is")
	cmd.Flags().StringVar(&wanted.IssuedBefore, "issued-before", "", "only tokens whose secret was made before 2026-06-30 (0:00 UTC), 2026-06-30T12:00:00Z, or now")
	reasonFlag(cmd, &wanted.Reason)
	waitFlag(cmd, &wait)
	return cmd
}

// revokeAndWait revokes one token, or several in one step, and waits until that holds everywhere.
func (r *remote) revokeAndWait(ctx context.Context, names []string, wanted revocation, wait time.Duration) error {
	r.timeout += wait
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		if err := c.numberRevoked(ctx, org, names, &wanted); err != nil {
			return err
		}
		method, path, body := "POST", org+"/tokens/revoke", any(wanted)
		if len(names) == 1 {
			method, path, body = "DELETE", withReason(org+"/tokens/"+wanted.IDs[0], wanted.Reason), nil
		}
		if err := c.do(ctx, method, path, body, nil); err != nil {
			return err
		}
		return r.awaitReceipts(ctx, c, org, wanted.IDs, wait)
	})
}

// parsePast is parseMoment for what may be now.
func parsePast(text string) string {
	if text == "now" {
		return time.Now().UTC().Format(time.RFC3339Nano)
	}
	return parseMoment(text)
}

// conditions reports whether there are any but names.
func (w revocation) conditions() bool {
	return w.Holder != "" || w.ServiceAccount != "" || w.Kind != "" || w.Engine != "" || w.IssuedBefore != ""
}

func (r *remote) revokeMany(ctx context.Context, names []string, wanted revocation) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		if err := c.numberRevoked(ctx, org, names, &wanted); err != nil {
			return err
		}
		var answer json.RawMessage
		if err := c.do(ctx, "POST", org+"/tokens/revoke", wanted, &answer); err != nil {
			return err
		}
		return revokedShape.one(r.program.Stdout, r.output, answer)
	})
}

// numberRevoked finds ids and numbers before anything is revoked: one wrong name,
// and nothing is.
func (c *client) numberRevoked(ctx context.Context, org string, names []string, wanted *revocation) (err error) {
	for _, name := range names {
		id, err := c.findToken(ctx, org, name, live...)
		if err != nil {
			return err
		}
		wanted.IDs = append(wanted.IDs, id)
	}
	if wanted.Holder, err = c.findHolder(ctx, org, wanted.Holder); err != nil {
		return err
	}
	wanted.ServiceAccount, err = c.findServiceAccount(ctx, org, wanted.ServiceAccount)
	return err
}
