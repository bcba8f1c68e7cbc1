package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// engineRow is an engine as the service shows it.
type engineRow struct {
	ID                   uint64         `json:"id"`
	Name                 string         `json:"name"`
	Project              string         `json:"project"`
	URL                  string         `json:"url"`
	Description          string         `json:"description"`
	PersonalTokens       bool           `json:"personal_tokens"`
	HasVerificationToken bool           `json:"has_verification_token"`
	VerificationFallback bool           `json:"verification_fallback"`
	Open                 bool           `json:"open"`
	Disabled             bool           `json:"disabled"`
	Permissions          []string       `json:"permissions"`
	Resources            []string       `json:"resources"`
	AccessTokenID        string         `json:"access_token_id"`
	LastSeenAt           time.Time      `json:"last_seen_at"`
	Connections          []engineStream `json:"connections"`
	Warning              string         `json:"warning"`
	CreatedAt            time.Time      `json:"created_at"`
	CreatedBy            *author        `json:"created_by"`
	Version              uint64         `json:"version"`

	// Only once:
	AccessToken       string `json:"access_token"`
	VerificationToken string `json:"verification_token"`
}

// engineStream is a process of an engine that hears of changes.
type engineStream struct {
	Instance  string    `json:"instance"`
	Version   string    `json:"version"`
	Address   string    `json:"address"`
	Seen      time.Time `json:"seen"`
	Connected bool      `json:"connected"`
	Position  uint64    `json:"position"`
	Behind    bool      `json:"behind"`
}

var engineShape = shape[engineRow]{
	cells: func(e engineRow) []cell {
		cells := []cell{
			{"id", strconv.FormatUint(e.ID, 10), false}, {"name", e.Name, false}, {"project", e.Project, false}, {"lets in", e.letsIn(), false},
			{"last seen", moment(e.LastSeenAt, "never"), false},
			{"url", e.URL, true}, {"description", e.Description, true},
			{"permissions", strings.Join(e.Permissions, " "), true}, {"resources", strings.Join(e.Resources, " "), true},
			{"access token id", e.AccessTokenID, true},
		}
		for _, s := range e.Connections {
			cells = append(cells, cell{"instance", s.String(), true})
		}
		return append(cells, cell{"created", moment(e.CreatedAt, ""), true}, cell{"created by", e.CreatedBy.String(), true},
			cell{"warning", e.Warning, true},
			cell{"access token", e.AccessToken, true}, cell{"verification token", e.VerificationToken, true})
	},
	name: func(e engineRow) string {
		return first(e.AccessToken, e.VerificationToken, strconv.FormatUint(e.ID, 10))
	},
}

// letsIn is the engine's door in words.
func (e engineRow) letsIn() string {
	var who []string
	switch {
	case e.Disabled:
		return "nobody: disabled"
	case e.Open:
		return "everybody"
	}
	if e.PersonalTokens {
		who = append(who, "personal tokens")
	}
	if e.HasVerificationToken && (e.VerificationFallback || !e.PersonalTokens) {
		who = append(who, "verification token")
	}
	if len(who) == 0 {
		return "nobody"
	}
	return strings.Join(who, ", ")
}

func (s engineStream) String() string {
	text := s.Instance
	if s.Version != "" {
		text += " " + s.Version
	}
	if s.Address != "" {
		text += " from " + s.Address
	}
	if !s.Connected {
		return text + ", away since " + moment(s.Seen, "")
	}
	if s.Behind {
		return fmt.Sprintf("%s, at %d and behind", text, s.Position)
	}
	return fmt.Sprintf("%s, at %d", text, s.Position)
}

func (p *Program) engineCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "engine", Short: "Register, list, edit, disable and delete engines",
		Long: `Registers, lists, shows, edits, disables, enables and deletes engines: the APIs of an organization that
let in who shows a token of it.

ENGINE is an engine's number or name. Names are never given again.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.engineListCommand(), r.engineShowCommand(), r.engineCreateCommand(), r.engineEditCommand(),
		r.engineSwitchCommand("disable", "Let nobody in at an engine until it is enabled", true),
		r.engineSwitchCommand("enable", "Let those in again who may", false),
		r.engineDeleteCommand(), r.engineRotateVerificationCommand(), r.engineReplaceTokenCommand())
	return cmd
}

func (r *remote) engineListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List engines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				all, err := c.list(ctx, org+"/engines", nil, limit)
				if err != nil {
					return err
				}
				return engineShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (r *remote) engineShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ENGINE", Short: "Show an engine and its processes: how far each is, and when it was seen last", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onEngine(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeEngine(ctx, c, "GET", path, nil)
			})
		},
	}
}

// newEngine is a request for an engine.
type newEngine struct {
	Name                 string       `json:"name"`
	Project              string       `json:"project,omitempty"`
	URL                  string       `json:"url,omitempty"`
	Description          string       `json:"description,omitempty"`
	PersonalTokens       bool         `json:"personal_tokens"`
	VerificationToken    string       `json:"verification_token,omitempty"`
	VerificationFallback bool         `json:"verification_fallback"`
	Open                 bool         `json:"open,omitempty"`
	Permissions          []permission `json:"permissions,omitempty"`
	Resources            []string     `json:"resources,omitempty"`
	Networks             []string     `json:"networks,omitempty"`
	expires
}

func (r *remote) engineCreateCommand() *cobra.Command {
	var wanted newEngine
	var verificationFile, permissionsFile, until string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Register an engine; its access token and its verification token are shown this once",
		Long: `Registers an engine. Its access token, which it shows to the service, is shown this once; -o name prints
that alone. Its verification token, which opens the engine to whoever has it, is made too and shown this
once, unless one that exists is given with --verification-token-file, or the engine is to be open.

With --personal-tokens it also lets in personal tokens of the organization and those of its service
accounts. --verification-fallback=false then shuts it to the verification token.

--permissions-file names a JSON file with permissions that the engine brings along, as a list of objects
with the fields name, group, access, resource_type, description: see jeton permission define.`,
		Example: `  jeton engine create dblab --personal-tokens --engine-url https://dblab.example.org --project shop
  jeton engine create legacy --verification-token-file legacy.token --personal-tokens
  jeton engine create inside --personal-tokens --network 10.0.0.0/8 --expires 90d
  TOKEN=$(jeton engine create dblab-2 --personal-tokens -o name)`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			wanted.Name, wanted.expires = args[0], parseExpires(until)
			if wanted.Permissions, err = readPermissions(permissionsFile); err != nil {
				return err
			}
			if verificationFile != "" {
				if wanted.VerificationToken, err = r.readVerification(verificationFile); err != nil {
					return err
				}
			}
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return r.createEngine(ctx, c, org, wanted)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.URL, "engine-url", "", "where the engine is, for people, e.g. https://dblab.example.org")
	cmd.Flags().StringVar(&wanted.Project, "project", "", "the project it belongs to, by name; made if it is not there")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what it is for")
	doorFlags(cmd, &wanted.PersonalTokens, &wanted.VerificationFallback, &wanted.Open)
	cmd.Flags().StringVar(&verificationFile, "verification-token-file", "", `file with the verification token that the engine has; "-" is standard input (default: a new one is made)`)
	cmd.Flags().StringVar(&permissionsFile, "permissions-file", "", "JSON file with the permissions that the engine brings along")
	cmd.Flags().Var(several{&wanted.Resources, "RESOURCE"}, "resource", "what tokens can be limited to in the engine, written type:id; can be given several times")
	cmd.Flags().Var(several{&wanted.Networks, "NETWORK"}, "network", "from where alone its access token works, e.g. 10.0.0.0/8; can be given several times (default: anywhere)")
	cmd.Flags().StringVar(&until, "expires", "", engineTokenEnds)
	return cmd
}

const engineTokenEnds = "when its access token ends: after 30d, 2w or 1y, at 2027-06-30 (0:00 UTC), or never (default: as the policy has it, else after a year)"

// doorFlags say how an engine decides.
func doorFlags(cmd *cobra.Command, personal, fallback, open *bool) {
	cmd.Flags().BoolVar(personal, "personal-tokens", false, "let in personal tokens, and those of service accounts")
	cmd.Flags().BoolVar(fallback, "verification-fallback", true, "with --personal-tokens: also let in the verification token")
	cmd.Flags().BoolVar(open, "open", false, "let everybody in, whatever they show: there is no verification token")
}

// readVerification reads a verification token. What comes on standard input cannot be
// the token to show as well.
func (r *remote) readVerification(file string) (string, error) {
	if file == "-" && r.tokenFile == "-" {
		return "", usage("--token-file and --verification-token-file can't both be standard input")
	}
	return r.program.readSecret(file, "verification token")
}

// readPermissions reads permissions from a file; no file: none.
func readPermissions(file string) (all []permission, err error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, usage("%s is no list of permissions: %w\n  next: write it like [{\"name\": \"clones.create\", \"group\": \"clones\", \"access\": \"write\"}]", file, err)
	}
	return all, nil
}

func (r *remote) createEngine(ctx context.Context, c *client, org string, wanted newEngine) error {
	var made json.RawMessage
	if err := c.do(ctx, "POST", org+"/engines", wanted, &made); err != nil {
		return err
	}
	var e engineRow
	if err := json.Unmarshal(made, &e); err == nil && e.AccessToken == "" {
		return lost("the engine "+e.Name, fmt.Sprintf("jeton engine delete %d, and register another one: its name is taken", e.ID))
	}
	return engineShape.one(r.program.Stdout, r.output, made)
}

// engineChange is what is to be otherwise; what is nil stays.
type engineChange struct {
	Project              *string   `json:"project,omitempty"`
	URL                  *string   `json:"url,omitempty"`
	Description          *string   `json:"description,omitempty"`
	Permissions          *[]string `json:"permissions,omitempty"`
	Resources            *[]string `json:"resources,omitempty"`
	PersonalTokens       *bool     `json:"personal_tokens,omitempty"`
	VerificationFallback *bool     `json:"verification_fallback,omitempty"`
	Open                 *bool     `json:"open,omitempty"`
	Disabled             *bool     `json:"disabled,omitempty"`
	VerificationToken    *string   `json:"verification_token,omitempty"`
}

func (r *remote) engineEditCommand() *cobra.Command {
	var wanted newEngine
	var permissions []string
	var verificationFile string
	var remove bool
	cmd := &cobra.Command{
		Use: "edit ENGINE", Short: "Change an engine's project, address, description, door and what it offers",
		Long: `Changes what is given and leaves the rest as it is. A door that was changed holds at the engine as soon
as it has heard of it, and at checks here at once.

To shut an engine for a while, see jeton engine disable. A new verification token is made by
jeton engine rotate-verification; --verification-token-file takes one that exists, and
--remove-verification-token leaves none.`,
		Example: `  jeton engine edit dblab --personal-tokens --verification-fallback=false
  jeton engine edit dblab --project shop --description "staging" --permission clones.create --resource pool:fast
  jeton engine edit legacy --verification-token-file legacy.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changes(cmd); err != nil {
				return err
			}
			change := engineChange{
				Project: changed(cmd, "project", wanted.Project), URL: changed(cmd, "engine-url", wanted.URL),
				Description: changed(cmd, "description", wanted.Description),
				Permissions: changed(cmd, "permission", listed(permissions)), Resources: changed(cmd, "resource", listed(wanted.Resources)),
				PersonalTokens: changed(cmd, "personal-tokens", wanted.PersonalTokens), Open: changed(cmd, "open", wanted.Open),
				VerificationFallback: changed(cmd, "verification-fallback", wanted.VerificationFallback),
			}
			var err error
			if change.VerificationToken, err = r.changedVerification(verificationFile, remove); err != nil {
				return err
			}
			return r.onEngine(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeEngine(ctx, c, "PATCH", path, change)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.URL, "engine-url", "", "where the engine is, from now on")
	cmd.Flags().StringVar(&wanted.Project, "project", "", "the project it belongs to from now on, by name; empty: to none")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what it is for, from now on")
	doorFlags(cmd, &wanted.PersonalTokens, &wanted.VerificationFallback, &wanted.Open)
	cmd.Flags().StringVar(&verificationFile, "verification-token-file", "", `file with the verification token from now on; "-" is standard input`)
	cmd.Flags().BoolVar(&remove, "remove-verification-token", false, "let there be no verification token")
	cmd.Flags().Var(several{&permissions, "PERMISSION"}, "permission", "what it asks about, all of it, by name; can be given several times; none: nothing")
	cmd.Flags().Var(several{&wanted.Resources, "RESOURCE"}, "resource", "what tokens can be limited to in it, all of it; can be given several times; none: nothing")
	return cmd
}

// changedVerification is the verification token from now on; nil: it stays.
func (r *remote) changedVerification(file string, remove bool) (*string, error) {
	switch {
	case file != "" && remove:
		return nil, usage("--verification-token-file and --remove-verification-token do not go together")
	case remove:
		return new(string), nil
	case file == "":
		return nil, nil
	}
	token, err := r.readVerification(file)
	return &token, err
}

func (r *remote) engineSwitchCommand(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ENGINE", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onEngine(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeEngine(ctx, c, "PATCH", path, engineChange{Disabled: &disabled})
			})
		},
	}
}

func (r *remote) engineDeleteCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "delete ENGINE", Short: "Delete an engine and revoke its access token, for ever", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onEngine(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return c.do(ctx, "DELETE", withReason(path, reason), nil, nil)
			})
		},
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (r *remote) engineRotateVerificationCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rotate-verification ENGINE", Short: "Give an engine a new verification token, which is shown this once",
		Long: `Gives an engine a new verification token, which is shown this once; -o name prints it alone. The old one
opens nothing any more once the engine has heard of it.

An engine behind jeton gate keeps the one that stands in its file, which the gate shows to it.`,
		Example: `  jeton engine rotate-verification dblab -o name > verification.token`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onEngine(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				var now json.RawMessage
				if err := c.do(ctx, "POST", path+"/rotate-verification", struct{}{}, &now); err != nil {
					return err
				}
				var e engineRow
				if err := json.Unmarshal(now, &e); err == nil && e.VerificationToken == "" {
					return lost("a verification token", "jeton engine rotate-verification again")
				}
				return engineShape.one(r.program.Stdout, r.output, now)
			})
		},
	}
}

func (r *remote) engineReplaceTokenCommand() *cobra.Command {
	var wanted struct {
		Networks *[]string `json:"networks,omitempty"`
		expires
	}
	var networks []string
	var until string
	cmd := &cobra.Command{
		Use: "replace-token ENGINE", Short: "Give an engine another access token, which is shown this once",
		Long: `Gives an engine another access token in place of the one that it has, which was lost or has ended. The new
one is shown this once; -o name prints it alone. The old one opens nothing any more.

To change the secret of one that is good, so that the engine is never without, see jeton token rotate.`,
		Example: `  jeton engine replace-token dblab -o name > access.token
  jeton engine replace-token dblab --expires 90d --network 10.0.0.0/8`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.Networks, wanted.expires = changed(cmd, "network", listed(networks)), parseExpires(until)
			return r.onEngine(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeEngine(ctx, c, "POST", path+"/replace-token", wanted)
			})
		},
	}
	cmd.Flags().Var(several{&networks, "NETWORK"}, "network", "from where alone it works; can be given several times; none: from anywhere (default: from where the old one did)")
	cmd.Flags().StringVar(&until, "expires", "", engineTokenEnds)
	return cmd
}

// changeEngine sends a request and shows the engine that is answered.
func (r *remote) changeEngine(ctx context.Context, c *client, method, path string, change any) error {
	var now json.RawMessage
	if err := c.do(ctx, method, path, change, &now); err != nil {
		return err
	}
	return engineShape.one(r.program.Stdout, r.output, now)
}

// onEngine runs do with the path of the engine that somebody named.
func (r *remote) onEngine(ctx context.Context, name string, do func(context.Context, *client, string) error) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		id, err := c.findEngine(ctx, org, name)
		if err != nil {
			return err
		}
		return do(ctx, c, org+"/engines/"+id)
	})
}

// findEngine is the number of an engine that is named by it or by its name. A name of
// digits alone is found by its number only.
func (c *client) findEngine(ctx context.Context, org, name string) (string, error) {
	if _, err := strconv.ParseUint(name, 10, 64); err == nil {
		return name, nil
	}
	raw, err := c.list(ctx, org+"/engines", nil, 0)
	if err != nil {
		return "", err
	}
	all, err := decodeAll[engineRow](raw)
	if err != nil {
		return "", err
	}
	number := func(e engineRow) string { return strconv.FormatUint(e.ID, 10) }
	return oneOf(all, func(e engineRow) bool { return e.Name == name }, number, "engine", name)
}
