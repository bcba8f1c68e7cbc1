package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// token is a token as the service shows it.
type token struct {
	ID             string          `json:"id"`
	Name           string          `json:"name"`
	Kind           string          `json:"kind"`
	Description    string          `json:"description"`
	Status         string          `json:"status"`
	Blocked        string          `json:"blocked"`
	Holder         *person         `json:"holder"`
	ServiceAccount *serviceAccount `json:"service_account"`
	Grant          *grant          `json:"grant"`
	Networks       []string        `json:"networks"`
	NotBefore      time.Time       `json:"not_before"`
	Limit          *limit          `json:"limit"`
	Everywhere     bool            `json:"everywhere"`
	ExpiresAt      time.Time       `json:"expires_at"`
	ExpiresInDays  *int            `json:"expires_in_days"`
	CreatedAt      time.Time       `json:"created_at"`
	CreatedBy      *author         `json:"created_by"`
	RotatedAt      time.Time       `json:"rotated_at"`
	PreviousEndsAt time.Time       `json:"previous_expires_at"`
	ReusedAt       time.Time       `json:"reused_at"`
	Approval       *waiting        `json:"approval"`
	LastUsedAt     time.Time       `json:"last_used_at"`
	RevokedAt      time.Time       `json:"revoked_at"`
	RevokedBy      *author         `json:"revoked_by"`
	Reason         string          `json:"reason"`
	Version        uint64          `json:"version"`
	Secret         string          `json:"secret"`

	// Only when one token is shown:
	Allows []string `json:"allows"`
	On     []string `json:"on"`
	CutOff []cutOff `json:"cut_off"`
	Usage  *usages  `json:"usage"`
}

// waiting is what a token waits for.
type waiting struct {
	RequestedBy *author   `json:"requested_by"`
	Until       time.Time `json:"until"`
}

// cutOff is what a token was given and cannot do.
type cutOff struct {
	Permission string `json:"permission"`
	Why        string `json:"why"`
}

// usages is how a token was used.
type usages struct {
	Networks []struct {
		Network string    `json:"network"`
		LastAt  time.Time `json:"last_at"`
	} `json:"networks"`
	Engine    string `json:"engine"`
	UserAgent string `json:"user_agent"`
	Days      []struct {
		Day   string `json:"day"`
		Count uint64 `json:"count"`
	} `json:"days"`
	NeverUsed []string `json:"never_used"`
}

var tokenShape = shape[token]{
	cells: func(t token) []cell {
		cells := []cell{
			{"id", t.ID, false}, {"name", t.Name, false}, {"kind", t.Kind, false}, {"status", t.standing(), false},
			{"holder", t.owner(), false}, {"expires", t.end(), false}, {"last used", moment(t.LastUsedAt, "never"), false},
			{"description", t.Description, true},
		}
		return slices.Concat(cells, t.terms(), t.past(), t.Usage.cells(), []cell{{"secret", t.Secret, true}})
	},
	name: func(t token) string { return first(t.Secret, t.ID) },
}

func (t token) standing() string {
	if t.Blocked != "" {
		return t.Status + ", blocked: " + t.Blocked
	}
	return t.Status
}

func (t token) owner() string {
	if t.ServiceAccount != nil {
		return first(t.ServiceAccount.Name, "service account "+strconv.FormatUint(t.ServiceAccount.ID, 10))
	}
	return t.Holder.String()
}

func (t token) end() string {
	end := moment(t.ExpiresAt, "never")
	switch days := t.ExpiresInDays; {
	case days == nil:
		return end
	case *days == 1:
		return end + " (in 1 day)"
	default:
		return fmt.Sprintf("%s (in %d days)", end, *days)
	}
}

// terms are what the token is bound to, and what comes of it.
func (t token) terms() []cell {
	cells := []cell{
		{"blocked", why(t.Blocked), true},
		{"grant", t.Grant.String(), true}, {"networks", strings.Join(t.Networks, " "), true},
		{"not before", moment(t.NotBefore, ""), true}, {"limit", t.Limit.String(), true},
		{"everywhere", yes(t.Everywhere), true},
		{"allows", strings.Join(t.Allows, " "), true}, {"on", strings.Join(t.On, " "), true},
	}
	for _, c := range t.CutOff {
		cells = append(cells, cell{"cut off", c.Permission + ": " + cutReasons[c.Why], true})
	}
	return cells
}

var cutReasons = map[string]string{
	"holder":  "whoever holds the token may not do that",
	"retired": "there is no such permission any more",
	"role":    "there is no such role any more",
}

// past is what happened to the token.
func (t token) past() []cell {
	cells := []cell{
		{"created", moment(t.CreatedAt, ""), true}, {"created by", t.CreatedBy.String(), true},
		{"rotated", moment(t.RotatedAt, ""), true}, {"old secret until", moment(t.PreviousEndsAt, ""), true},
		{"old secret shown", moment(t.ReusedAt, ""), true},
	}
	if t.Approval != nil {
		cells = append(cells, cell{"asked for by", t.Approval.RequestedBy.String(), true}, cell{"approve until", moment(t.Approval.Until, ""), true})
	}
	return append(cells, cell{"revoked", moment(t.RevokedAt, ""), true}, cell{"revoked by", t.RevokedBy.String(), true},
		cell{"reason", t.Reason, true})
}

// cells are how the token was used, if that is known.
func (u *usages) cells() (cells []cell) {
	if u == nil {
		return nil
	}
	for _, n := range u.Networks {
		cells = append(cells, cell{"used from", n.Network + " at " + moment(n.LastAt, ""), true})
	}
	var count uint64
	for _, d := range u.Days {
		count += d.Count
	}
	return append(cells, cell{"used by", u.UserAgent, true}, cell{"shown to", u.Engine, true},
		cell{"uses", fmt.Sprintf("%d on %d of the last 30 days", count, len(u.Days)), true},
		cell{"never used", strings.Join(u.NeverUsed, " "), true})
}

func (p *Program) tokenCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "token", Short: "Make, list, edit, rotate, revoke and burn tokens",
		Long: `Makes, lists, shows, edits, rotates, revokes and burns tokens of an organization.

TOKEN is a token's id, or the name of a live one. Members see and manage their own personal
tokens, admins and owners see all tokens of the organization and may revoke any.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.tokenCreateCommand(), r.tokenListCommand(), r.tokenShowCommand(), r.tokenRenameCommand(), r.tokenEditCommand(),
		r.tokenRotateCommand(), r.tokenRevokeCommand(), r.tokenRevocationCommand(), r.tokenBurnCommand(), r.tokenHistoryCommand())
	return cmd
}

// expires are the fields of a request for when a token ends.
type expires struct {
	At string `json:"expires_at,omitempty"`
	In string `json:"expires_in,omitempty"`
}

const (
	endsUsage    = "when it ends: after 720h, 30d, 2w or 1y, at 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z, or never"
	expiresUsage = endsUsage + " (default: as the policy has it, else after a year)"
)

// parseExpires sorts what somebody typed; the service says whether it is right.
func parseExpires(text string) expires {
	if moment := parseMoment(text); strings.Contains(moment, "T") {
		return expires{At: moment}
	}
	return expires{In: text}
}

// newToken is a request for a token.
type newToken struct {
	Name           string   `json:"name"`
	Kind           string   `json:"kind"`
	ServiceAccount string   `json:"service_account,omitempty"`
	Description    string   `json:"description,omitempty"`
	Grant          *grant   `json:"grant,omitempty"`
	Networks       []string `json:"networks,omitempty"`
	NotBefore      string   `json:"not_before,omitempty"`
	Limit          *limit   `json:"limit,omitempty"`
	Everywhere     bool     `json:"everywhere,omitempty"`
	expires
}

func (r *remote) tokenCreateCommand() *cobra.Command {
	var wanted newToken
	var until string
	var given *grantFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a token; its secret is shown this once",
		Long: `Makes a token. Its secret is shown this once.

Without --grant, --role or --permission it may do all that its holder may; an administrative one asks
about tokens and revokes personal ones. It never does more than its holder may at that moment.

A personal token works in one organization. With --everywhere it follows you into every organization
that you belong to or are added to, by whomever: whoever runs one of them sees the secret when it is
used there, and can use it in all the others.`,
		Example: `  jeton token create laptop --expires 30d
  jeton token create reader --grant read-only --network 10.0.0.0/8 --limit 100/1m
  jeton token create billing --kind administrative --expires never --description "nightly export"
  jeton token create deploy-1 --service-account deploy --role ci
  TOKEN=$(jeton token create ci -o name)`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			wanted.Name, wanted.expires, wanted.NotBefore = args[0], parseExpires(until), parseMoment(wanted.NotBefore)
			if wanted.Grant, err = given.over(nil); err != nil {
				return err
			}
			if err := wanted.settleKind(cmd); err != nil {
				return err
			}
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				return r.createToken(ctx, c, org, wanted)
			})
		},
	}
	cmd.Flags().StringVar(&wanted.Kind, "kind", "personal", "personal: yours; administrative: the organization's, made by admins and owners; service: a service account's")
	cmd.Flags().StringVar(&wanted.ServiceAccount, "service-account", "", "whose it is to be, by name or number; --kind service follows from it")
	cmd.Flags().StringVar(&wanted.Description, "description", "", "what it is for")
	given = newGrantFlags(cmd, "read-only", "full-access")
	cmd.Flags().Var(several{&wanted.Networks, "NETWORK"}, "network", "from where it works, e.g. 10.0.0.0/8; can be given several times (default: anywhere)")
	cmd.Flags().StringVar(&wanted.NotBefore, "not-before", "", "when its time begins: 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z (default: now)")
	cmd.Flags().Var(limitOf(&wanted.Limit), "limit", "how often it may be used, e.g. 100/1m (default: as the organization has it)")
	cmd.Flags().BoolVar(&wanted.Everywhere, "everywhere", false, "let it follow you into every organization you belong to; whoever runs one of them can then use it in all")
	cmd.Flags().StringVar(&until, "expires", "", expiresUsage)
	return cmd
}

// settleKind refuses a service account for what is none of its.
func (t *newToken) settleKind(cmd *cobra.Command) error {
	if t.ServiceAccount != "" && !cmd.Flags().Changed("kind") {
		t.Kind = "service"
	}
	if (t.ServiceAccount != "") != (t.Kind == "service") {
		return usage("--service-account goes with --kind service, and only with it\n  next: leave --kind out, or name the service account")
	}
	return nil
}

func (r *remote) createToken(ctx context.Context, c *client, org string, wanted newToken) (err error) {
	if wanted.ServiceAccount, err = c.findServiceAccount(ctx, org, wanted.ServiceAccount); err != nil {
		return err
	}
	var made json.RawMessage
	if err := c.do(ctx, "POST", org+"/tokens", wanted, &made); err != nil {
		return err
	}
	return r.showMade(made)
}

func (r *remote) showMade(raw json.RawMessage) error {
	var t token
	if err := json.Unmarshal(raw, &t); err == nil && t.Secret == "" {
		return lost("the token "+t.ID, "jeton token revoke "+t.ID+", and make another one")
	}
	return tokenShape.one(r.program.Stdout, r.output, raw)
}

func (r *remote) tokenListCommand() *cobra.Command {
	var limit int
	query := url.Values{}
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens, the newest first: all that you may see",
		Example: `  jeton token list --status active --kind administrative
  jeton token list --unused-for 90d
  jeton token list -o json | jq -r '.[].name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				if err := c.numberHolders(ctx, org, query); err != nil {
					return err
				}
				all, err := c.list(ctx, org+"/tokens", query, limit)
				if err != nil {
					return err
				}
				return tokenShape.list(r.program.Stdout, r.output, all)
			})
		},
	}
	for _, f := range []struct{ flag, short, parameter, usage string }{
		{"kind", "", "kind", "only personal, administrative or service ones"},
		{"status", "", "status", "only active, waiting, expired or revoked ones"},
		{"holder", "", "holder", "only those of this member, by number or e-mail, or of me"},
		{"service-account", "", "service_account", "only those of this service account, by name or number"},
		{"expires-within", "", "expires_within", "only live ones that end within this time, e.g. 30d"},
		{"unused-for", "", "unused_for", "only live ones that were not used for this time, e.g. 90d"},
		{"search", "q", "q", "only those with this in their names"},
	} {
		cmd.Flags().VarP(parameter{query, f.parameter}, f.flag, f.short, f.usage)
	}
	limitFlag(cmd, &limit)
	return cmd
}

// numberHolders puts numbers in the place of names and e-mail addresses.
func (c *client) numberHolders(ctx context.Context, org string, query url.Values) error {
	holder, err := c.findHolder(ctx, org, query.Get("holder"))
	if err != nil {
		return err
	}
	program, err := c.findServiceAccount(ctx, org, query.Get("service_account"))
	if err != nil {
		return err
	}
	for name, number := range map[string]string{"holder": holder, "service_account": program} {
		if number != "" {
			query.Set(name, number)
		}
	}
	return nil
}

// findHolder is the number of a member, or me; nobody is nobody.
func (c *client) findHolder(ctx context.Context, org, who string) (string, error) {
	if who == "" || who == "me" {
		return who, nil
	}
	return c.findMember(ctx, org, who)
}

func (r *remote) tokenShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show TOKEN", Short: "Show a token and what it may do now, without its secret", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeToken(ctx, c, "GET", path, nil)
			})
		},
	}
}

func (r *remote) tokenRenameCommand() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use: "rename TOKEN NAME", Short: "Give a token another name, or another description",
		Example: `  jeton token rename laptop old-laptop --description "in the drawer"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]string{"name": args[1]}
			if cmd.Flags().Changed("description") {
				change["description"] = description
			}
			return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.changeToken(ctx, c, "PATCH", path, change)
			})
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for, from now on")
	return cmd
}

// tokenChange is what is to be otherwise about a token; what is nil stays.
type tokenChange struct {
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	Grant       *grant    `json:"grant,omitempty"`
	Networks    *[]string `json:"networks,omitempty"`
	NotBefore   *string   `json:"not_before,omitempty"`
	Limit       *limit    `json:"limit,omitempty"`
	expires
}

func (r *remote) tokenEditCommand() *cobra.Command {
	var change tokenChange
	var name, description, begins, until string
	var networks []string
	var given *grantFlags
	cmd := &cobra.Command{
		Use: "edit TOKEN", Short: "Change a token's name, description, grant, networks, times and limit",
		Long: `Changes what is given and leaves the rest as it is. The secret stays the same.

A grant is changed in parts: --resource alone keeps what the token may do, and narrows or widens on what.`,
		Example: `  jeton token edit laptop --grant read-only --expires 30d
  jeton token edit ci --permission tokens.check --permission clones.create --resource engine:prod
  jeton token edit ci --network none --limit none`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := changes(cmd); err != nil {
				return err
			}
			change.Name, change.Description = changed(cmd, "name", name), changed(cmd, "description", description)
			change.NotBefore = changed(cmd, "not-before", orNone(parseMoment(begins)))
			change.Networks, change.expires = changed(cmd, "network", listed(networks)), parseExpires(until)
			return r.onToken(cmd.Context(), args[0], func(ctx context.Context, c *client, path string) error {
				return r.editToken(ctx, c, path, change, given)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what it is called from now on")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, from now on")
	given = newGrantFlags(cmd, "read-only", "full-access", usualAccess)
	cmd.Flags().Var(several{&networks, "NETWORK"}, "network", "from where it works, all of it; can be given several times; none: from anywhere")
	cmd.Flags().StringVar(&begins, "not-before", "", "when its time begins: 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z; none: it has begun")
	cmd.Flags().Var(limitOf(&change.Limit), "limit", "how often it may be used, e.g. 100/1m; none: as the organization has it")
	cmd.Flags().StringVar(&until, "expires", "", endsUsage)
	return cmd
}

// editToken reads the token first if its grant is changed in parts, and changes it
// only as it was read.
func (r *remote) editToken(ctx context.Context, c *client, path string, change tokenChange, given *grantFlags) error {
	var was token
	if given.given() {
		if err := c.do(ctx, "GET", path, nil, &was); err != nil {
			return err
		}
	}
	var err error
	if change.Grant, err = given.over(was.Grant); err != nil {
		return err
	}
	var now json.RawMessage
	if err := c.doSeen(ctx, "PATCH", path, was.Version, change, &now); err != nil {
		return err
	}
	return tokenShape.one(r.program.Stdout, r.output, now)
}

func (r *remote) changeToken(ctx context.Context, c *client, method, path string, change any) error {
	var now json.RawMessage
	if err := c.do(ctx, method, path, change, &now); err != nil {
		return err
	}
	return tokenShape.one(r.program.Stdout, r.output, now)
}

var tokenID = regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{16}$`)

// live are the statuses of tokens that have a name to themselves.
var live = []string{"active", "waiting"}

// onToken runs do with the path of the token that somebody named.
func (r *remote) onToken(ctx context.Context, name string, do func(context.Context, *client, string) error) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		id, err := c.findToken(ctx, org, name, live...)
		if err != nil {
			return err
		}
		return do(ctx, c, org+"/tokens/"+id)
	})
}

// findToken is the id of the token with a name and one of the statuses, unless it
// is one itself.
func (c *client) findToken(ctx context.Context, org, name string, statuses ...string) (string, error) {
	if tokenID.MatchString(name) {
		return name, nil
	}
	var found []token
	for _, status := range statuses {
		raw, err := c.list(ctx, org+"/tokens", url.Values{"q": {name}, "status": {status}}, 0)
		if err != nil {
			return "", err
		}
		some, err := decodeAll[token](raw)
		if err != nil {
			return "", err
		}
		found = append(found, some...)
	}
	return oneOf(found, func(t token) bool { return t.Name == name }, func(t token) string { return t.ID }, "live token", name)
}

// parameter is a flag that goes into the query of a request as it is.
type parameter struct {
	query url.Values
	name  string
}

func (p parameter) Set(text string) error { p.query.Set(p.name, text); return nil }
func (p parameter) String() string        { return p.query.Get(p.name) }
func (p parameter) Type() string          { return "string" }

// changed is a value that was given; nil: it was not.
func changed[T any](cmd *cobra.Command, flag string, value T) *T {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return &value
}

// changes refuses a command that is to change something and does not say what.
func changes(cmd *cobra.Command) error {
	given := false
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { given = given || f.Changed })
	if !given {
		return usage("nothing is to be changed\n  next: see jeton %s --help for what can be", strings.TrimPrefix(cmd.CommandPath(), "jeton "))
	}
	return nil
}

// orNone is a text that may be none.
func orNone(text string) string {
	if text == "none" {
		return ""
	}
	return text
}
