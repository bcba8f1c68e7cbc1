package main

import (
	"context"
	"encoding/json"
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
}

var checkShape = shape[checked]{
	cells: func(c checked) []cell {
		cells := []cell{{"verdict", c.verdict(), false}}
		if !c.Active {
			return cells
		}
		return append(cells, cell{"token", c.Token, false}, cell{"kind", c.Kind, false}, cell{"organization", c.Organization, false},
			cell{"subject", c.Subject, false}, cell{"email", c.Email, false}, cell{"role", c.Role, false}, cell{"expires", moment(c.ExpiresAt, "never"), false})
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
	}
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "check", Short: "Ask whether a secret opens the door now",
		Long: `Asks whether a secret is that of an active token, and says whose. The secret is read from standard
input, or from --secret-file; it is never an argument.

Exit code 0: it is active, and allowed what was asked. 4: it is not, or not allowed.
Of another organization's tokens nothing is said but that they are not active here.`,
		Example: `  jeton check < laptop.token
  jeton check --secret-file laptop.token --permission tokens.check`,
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
	cmd.Flags().StringVar(&asked.Resource, "resource", "", "what it is to be allowed on")
	cmd.Flags().StringVar(&asked.IP, "ip", "", "where its bearer comes from")
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
