package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/domain"
	"jeton/projections"
)

// founded is what a founding made. Its JSON is what init -o json promises.
type founded struct {
	Organization foundedOrganization `json:"organization"`
	User         foundedUser         `json:"user"`
	Token        string              `json:"token"`
}

type foundedOrganization struct {
	ID    domain.Position `json:"id"`
	Alias string          `json:"alias"`
	Name  string          `json:"name"`
}

type foundedUser struct {
	ID    domain.Position `json:"id"`
	Email string          `json:"email"`
}

// found makes the first organization, its administrator and their first token.
func found(ctx context.Context, m *projections.Model, c Config, verifier string) (founded, error) {
	account, organization, token := domain.AccountID{ID: domain.RandomID()}, domain.OrganizationID{ID: domain.RandomID()}, domain.TokenID{ID: domain.RandomID()}
	secret, err := domain.NewSecret(domain.Personal, token, random)
	if err != nil {
		return founded{}, err
	}
	outcome, err := m.ExecuteDirectory(ctx,
		domain.Meta{Organization: organization, Actor: domain.Actor{Kind: domain.ActorSystem}},
		domain.Found{
			Organization: organization, Alias: c.Organization, Name: c.Name,
			Account: account, Email: c.Email,
			First: domain.FirstToken{Token: token, Hash: secret.Hash()}, Verifier: verifier,
		})
	if err != nil {
		return founded{}, err
	}
	return founded{
		Organization: foundedOrganization{outcome.Position, c.Organization, c.Name},
		User:         foundedUser{outcome.Position, c.Email},
		Token:        secret.Reveal(),
	}, nil
}

func (p *Program) initCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "init --data DIR --organization ALIAS --name TEXT --email ADDRESS",
		Short: "Make a new platform: its first organization and its administrator",
		Long: `Prepares an empty data directory: makes the first organization, its administrator, who is also
the first operator of the platform, and prints the administrator's token. It is shown once.

A directory that is in use or not empty is refused and stays as it is. If anything fails, the
directory is left empty. With --nats and --database the platform is made there; a log that has
been founded is refused.

-o json prints {"organization":{"id":…,"alias":…,"name":…},"user":{"id":…,"email":…},"token":"…"}.
-o name prints the token alone.`,
		Example: `  jeton init --data /var/lib/jeton --organization acme --name "Acme Inc" --email root@acme.test
  jeton init --data data --organization acme --name Acme --email root@acme.test -o name > root.token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if printed, err := p.printed(cmd, c); printed {
				return err
			}
			return p.init(cmd.Context(), c.Config, output)
		},
	}
	addSettings(cmd)
	outputFlag(cmd, &output)
	return cmd
}

func (p *Program) init(ctx context.Context, c Config, output string) error {
	for _, needed := range []struct{ name, value string }{{"organization", c.Organization}, {"name", c.Name}, {"email", c.Email}} {
		if needed.value == "" {
			return usage("--%s is missing", needed.name)
		}
	}
	s := &Stores{Config: c, Version: programVersion(), Log: newLog(p.Stderr, c).Level(max(zerolog.WarnLevel, c.LogLevel))}
	if err := s.Open(ctx, mustFound); err != nil {
		return p.explain(err, c)
	}
	err := p.initIn(ctx, s, output)
	return p.explain(errors.Join(err, s.Close()), c)
}

// initIn founds the platform, prints the token, and only then keeps what was
// made: a token that nobody has seen is of no use.
func (p *Program) initIn(ctx context.Context, s *Stores, output string) error {
	return s.with(ctx, func(ctx context.Context, model *projections.Model) error {
		verifier, err := s.firstVerifier(ctx)
		if err != nil {
			return err
		}
		made, err := found(ctx, model, s.Config, verifier)
		if err != nil {
			return refused(err)
		}
		if err := made.print(p.Stdout, output, s.Config.startCommand()); err != nil {
			return err
		}
		return s.Keep(time.Now())
	})
}

// refused gives a refusal of the domain its exit code and its next step.
func refused(err error) error {
	var r *domain.Refusal
	if !errors.As(err, &r) {
		return err
	}
	text := r.Error()
	if r.Next != "" {
		text += "\n  next: " + r.Next
	}
	code := exitError
	switch {
	case errors.Is(err, domain.ErrInvalid):
		code = exitUsage
	case errors.Is(err, domain.ErrExists):
		code = exitConflict
	}
	return coded{errors.New(text), code}
}

func (f founded) print(w io.Writer, output, start string) error {
	var err error
	switch output {
	case "json":
		err = json.NewEncoder(w).Encode(f)
	case "name":
		_, err = fmt.Fprintln(w, f.Token)
	default:
		_, err = fmt.Fprintf(w, `organization  %d  %s  %s
administrator %d  %s
token         %s

The token is shown this once. Next:

  %s
  jeton context set default --url http://127.0.0.1:8080   (it asks for the token)
`, f.Organization.ID, f.Organization.Alias, f.Organization.Name, f.User.ID, f.User.Email, f.Token, start)
	}
	return err
}

// startCommand is how the platform is started from here on.
func (c Config) startCommand() string {
	if c.usesData() {
		return "jeton serve --data " + c.Data
	}
	return "jeton serve"
}

// withDefaults names what serve founds in an empty data directory.
func (c Config) withDefaults() Config {
	c.Organization = cmp.Or(c.Organization, "main")
	c.Name = cmp.Or(c.Name, "Main")
	c.Email = cmp.Or(c.Email, "root@localhost")
	return c
}

// welcome is what serve prints after it has founded a platform: what to paste next.
func (f founded) welcome(w io.Writer, url string) error {
	_, err := fmt.Fprintf(w, `
This platform is new. It has the organization %[1]s and its administrator %[2]s.
Their token is shown this once. Paste into another terminal:

export JETON_URL=%[3]s JETON_TOKEN=%[4]s

curl -H "Authorization: Bearer $JETON_TOKEN" $JETON_URL/api/v1/check --json "{\"token\": \"$JETON_TOKEN\"}"
curl -H "Authorization: Bearer $JETON_TOKEN" $JETON_URL/api/v1/organizations/%[1]s/tokens --json '{"name": "ci", "kind": "personal", "expires_in": "30d"}'
curl -H "Authorization: Bearer $JETON_TOKEN" $JETON_URL/api/v1/organizations/%[1]s/tokens

`, f.Organization.Alias, f.User.Email, url, f.Token)
	return err
}
