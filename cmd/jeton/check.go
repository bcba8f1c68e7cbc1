package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// checked is the answer to a check.
type checked struct {
	Active       bool      `json:"active"`
	Allowed      *bool     `json:"allowed"`
	Kind         string    `json:"kind"`
	Token        string    `json:"token"`
	Organization string    `json:"organization"`
	Subject      string    `json:"subject"`
	Email        string    `json:"email"`
	Role         string    `json:"role"`
	ExpiresAt    time.Time `json:"expires_at"`
	Reason       string    `json:"reason"`
	Warning      string    `json:"warning"`
	Limit        *left     `json:"limit"`
}

// left is what is left of a limit. Lengths of time are in seconds.
type left struct {
	Requests   int `json:"requests"`
	Window     int `json:"window"`
	Remaining  int `json:"remaining"`
	RetryAfter int `json:"retry_after"`
}

func (l *left) String() string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%d of %d in %d s left; the next window begins in %d s", l.Remaining, l.Requests, l.Window, l.RetryAfter)
}

// why is a reason for people: the word of the service, and what it means.
func why(reason string) string {
	if means := reasons[reason]; means != "" {
		return reason + ": " + means
	}
	return reason
}

var reasons = map[string]string{
	"unknown":    "it is the secret of no token",
	"revoked":    "it was revoked",
	"expired":    "it has ended",
	"suspended":  "its holder is suspended or gone",
	"malformed":  "it is no secret at all",
	"waiting":    "it waits for approval",
	"not-yet":    "its time has not begun",
	"replaced":   "this secret was rotated out; the token may be good",
	"network":    "it may not be used from there, or nobody said from where",
	"off":        "the organization has switched tokens off",
	"policy":     "it lives longer than the policy allows",
	"idle":       "it was unused for longer than the policy allows",
	"unbound":    "it follows its holder, and the organization takes only tokens of its own",
	"limited":    "it was used more often than it may be",
	"deleted":    "its organization or the account of its holder was deleted",
	"permission": "it is good, but not for that",
	"resource":   "it is good for that, but not there",
}

var checkShape = shape[checked]{
	cells: func(c checked) []cell {
		cells := []cell{{"verdict", c.verdict(), false}, {"reason", why(c.Reason), false}, {"token", c.Token, false}, {"limit", c.Limit.String(), false}}
		if !c.Active {
			return cells
		}
		return append(cells, cell{"kind", c.Kind, false}, cell{"organization", c.Organization, false},
			cell{"subject", c.Subject, false}, cell{"email", c.Email, false}, cell{"role", c.Role, false},
			cell{"expires", moment(c.ExpiresAt, "never"), false}, cell{"warning", c.Warning, false})
	},
	name: checked.verdict,
}

func (c checked) verdict() string {
	switch {
	case !c.Active:
		return "not active"
	case c.Allowed == nil:
		return "active"
	case *c.Allowed:
		return "active and allowed"
	}
	return "active, but not allowed"
}

func (p *Program) checkCommand() *cobra.Command {
	var r *remote
	var secretFile string
	var asked struct {
		Token        string `json:"token"`
		Organization string `json:"organization,omitempty"`
		Permission   string `json:"permission,omitempty"`
		Resource     string `json:"resource,omitempty"`
		IP           string `json:"ip,omitempty"`
		UserAgent    string `json:"user_agent,omitempty"`
	}
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "check", Short: "Ask whether a secret opens the door now",
		Long: `Asks whether a secret is that of an active token, and says whose. The secret is read from standard
input, or from --secret-file; it is never an argument.

Exit code 0: it is active, and allowed what was asked. 4: it is not, or not allowed, and the reason says
why. Of another organization's tokens nothing is said but that they are not active here.

A check counts as a use of the token: it is what the engines do when somebody shows it to them.`,
		Example: `  jeton check < laptop.token
  jeton check --secret-file laptop.token --permission tokens.check
  jeton check --secret-file ci.token --permission engines.read --resource engine:prod --ip 10.1.2.3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if r.tokenFile == "-" && secretFile == "-" {
				return usage("--token-file and --secret-file can't both be standard input")
			}
			if asked.Token, err = p.readSecret(secretFile, "secret"); err != nil {
				return err
			}
			return r.ask(cmd.Context(), func(ctx context.Context, c *client) error { return r.check(ctx, c, asked) })
		},
	})
	cmd.Flags().StringVar(&secretFile, "secret-file", "-", `file with the secret; "-" is standard input`)
	cmd.Flags().StringVarP(&asked.Organization, "organization", "O", "", "alias or number: it must belong to this organization")
	cmd.Flags().StringVar(&asked.Permission, "permission", "", "also ask whether it allows this")
	cmd.Flags().StringVar(&asked.Resource, "resource", "", "with --permission: what it is to be allowed on, e.g. engine:prod")
	cmd.Flags().StringVar(&asked.IP, "ip", "", "address that its bearer comes from; a token that is bound to networks is not active without it")
	cmd.Flags().StringVar(&asked.UserAgent, "user-agent", "", "what its bearer's program calls itself")
	return cmd
}

func (r *remote) check(ctx context.Context, c *client, asked any) error {
	var answer json.RawMessage
	if err := c.do(ctx, "POST", "check", asked, &answer); err != nil {
		return err
	}
	if err := checkShape.one(r.program.Stdout, r.output, answer); err != nil {
		return err
	}
	var verdict checked
	if err := json.Unmarshal(answer, &verdict); err != nil {
		return err
	}
	if !verdict.Active || verdict.Allowed != nil && !*verdict.Allowed {
		return silent(exitDenied)
	}
	return nil
}
