package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// policy is an organization's policy as the service shows it, and, after a change,
// what that blocks.
type policy struct {
	TokensEnabled   bool     `json:"tokens_enabled"`
	BoundTokensOnly bool     `json:"bound_tokens_only"`
	Networks        []string `json:"networks"`
	IdleExpiry      string   `json:"idle_expiry"`
	TokenLimit      *limit   `json:"token_limit"`
	HolderLimit     *limit   `json:"holder_limit"`
	Kinds           struct {
		Personal       kindPolicy `json:"personal"`
		Administrative kindPolicy `json:"administrative"`
		Service        kindPolicy `json:"service"`
	} `json:"kinds"`
	DescriptionRequired bool `json:"description_required"`
	Approval            struct {
		Kinds  []string `json:"kinds"`
		Grants []string `json:"grants"`
		Lapse  string   `json:"lapse"`
	} `json:"approval"`
	LongestOverlap string `json:"longest_overlap"`
	Reuse          string `json:"reuse"`
	LastUsedByDay  bool   `json:"last_used_by_day"`
	Version        uint64 `json:"version"`

	Blocked  *int              `json:"blocked"`
	LocksOut string            `json:"locks_out"`
	Blocks   []json.RawMessage `json:"blocks"`
}

// kindPolicy is what is demanded of one kind of token.
type kindPolicy struct {
	Creators     []string  `json:"creators"`
	PerHolder    int       `json:"per_holder"`
	DefaultLife  string    `json:"default_life"`
	LongestLife  string    `json:"longest_life"`
	LatestExpiry time.Time `json:"latest_expiry"`
	Never        bool      `json:"never"`
}

var policyShape = shape[policy]{
	cells: func(p policy) []cell {
		return []cell{
			{"tokens", either(p.TokensEnabled, "on", "off: none is good"), false},
			{"bound only", either(p.BoundTokensOnly, "yes: tokens that follow their holders are not good here", "no"), false},
			{"networks", first(strings.Join(p.Networks, " "), "any"), false}, {"idle expiry", first(p.IdleExpiry, "never"), false},
			{"token limit", first(p.TokenLimit.String(), "none"), false}, {"holder limit", first(p.HolderLimit.String(), "none"), false},
			{"personal", p.Kinds.Personal.String(), false}, {"administrative", p.Kinds.Administrative.String(), false}, {"service", p.Kinds.Service.String(), false},
			{"description", either(p.DescriptionRequired, "required", "not required"), false}, {"approval", p.approval(), false},
			{"overlap", either(p.LongestOverlap == "", "none", "up to "+p.LongestOverlap), false}, {"reuse", p.Reuse, false},
			{"last used", either(p.LastUsedByDay, "shown to the day", "shown to the minute"), false},
			{"now blocked", p.blocked(), false},
		}
	},
	name: func(p policy) string { return strconv.FormatUint(p.Version, 10) },
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func (p policy) approval() string {
	waiting := slices.Concat(p.Approval.Kinds, p.Approval.Grants)
	if len(waiting) == 0 {
		return "not needed"
	}
	return "needed for " + strings.Join(waiting, " ") + ", within " + p.Approval.Lapse
}

func (p policy) blocked() string {
	if p.Blocked == nil {
		return ""
	}
	return counted(*p.Blocked)
}

func counted(tokens int) string {
	if tokens == 1 {
		return "1 live token"
	}
	return strconv.Itoa(tokens) + " live tokens"
}

func (k kindPolicy) String() string {
	facts := []string{"any number"}
	if k.PerHolder > 0 {
		facts[0] = "at most " + strconv.Itoa(k.PerHolder) + " a holder"
	}
	facts = append(facts, "usually "+first(k.DefaultLife, "a year"), "at most "+first(k.LongestLife, "any time"))
	if !k.LatestExpiry.IsZero() {
		facts = append(facts, "not after "+moment(k.LatestExpiry, ""))
	}
	facts = append(facts, either(k.Never, "or without end", "never without end"))
	if len(k.Creators) > 0 {
		facts = append(facts, "made by "+strings.Join(k.Creators, " "))
	}
	return strings.Join(facts, ", ")
}

// blocked is a token that a policy blocks.
type blocked struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`
	Holder     *person   `json:"holder"`
	Reason     string    `json:"reason"`
	LastUsedAt time.Time `json:"last_used_at"`
}

var blockedShape = shape[blocked]{
	cells: func(b blocked) []cell {
		return []cell{
			{"id", b.ID, false}, {"name", b.Name, false}, {"kind", b.Kind, false}, {"holder", b.Holder.String(), false},
			{"last used", moment(b.LastUsedAt, "never"), false}, {"reason", why(b.Reason), false},
		}
	},
	name: func(b blocked) string { return b.ID },
}

func (p *Program) policyCommand() *cobra.Command {
	cmd, r := p.remoteCommand(&cobra.Command{
		Use: "policy", Short: "Show and set what an organization demands of its tokens",
		Long: `Shows and sets what an organization demands of its tokens. A tighter policy blocks the tokens that do
not meet it; it never changes or deletes them, and a looser one opens them again.`,
	})
	r.organizationFlag(cmd)
	cmd.AddCommand(r.policyShowCommand(), r.policySetCommand())
	return cmd
}

func (r *remote) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the policy", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.within(cmd.Context(), func(ctx context.Context, c *client, org string) error {
				var is json.RawMessage
				if err := c.do(ctx, "GET", org+"/policy", nil, &is); err != nil {
					return err
				}
				return policyShape.one(r.program.Stdout, r.output, is)
			})
		},
	}
}

func (r *remote) policySetCommand() *cobra.Command {
	var from string
	var dry bool
	change := map[string]any{}
	cmd := &cobra.Command{
		Use: "set", Short: "Set the policy, or see which tokens another one would block",
		Long: `Sets what is given and leaves the rest as it is. Lists can be given several times; none empties a list,
and takes a time or a limit away. With --dry-run nothing is changed: the tokens that the policy would
block are listed, and when they were last used.

--from reads the change from a file, as jeton policy show -o json writes it, or only some of its fields.
If the version is among them, the change is refused if somebody else's came first.`,
		Example: `  jeton policy set --service-longest-life 90d --service-never no --idle-expiry 90d --dry-run
  jeton policy set --network 10.0.0.0/8 --network 2001:db8::/32
  jeton policy set --approval-kind administrative --approval-grant full-access
  jeton policy show -o json > policy.json    # edit it, then:
  jeton policy set --from policy.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version, err := r.policyChange(from, change)
			if err != nil {
				return err
			}
			return r.setPolicy(cmd.Context(), change, version, dry)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing, and list the tokens that it would block")
	cmd.Flags().StringVar(&from, "from", "", `file with the change as JSON; "-" is standard input`)
	for _, f := range policyFields() {
		cmd.Flags().Var(entry{change, f}, f.flag, f.help)
	}
	return cmd
}

// policyField is a field of the policy and its flag.
type policyField struct {
	flag, path, kind, help string
	read                   func(text string, before any) (any, error)
}

// policyFields are all that can be set.
func policyFields() []policyField {
	fields := []policyField{
		{"tokens-enabled", "tokens_enabled", "BOOL", "whether tokens are good at all: yes or no; no deletes none", readYesno},
		{"bound-tokens-only", "bound_tokens_only", "BOOL", "whether only tokens that are bound to the organization are good here: yes or no", readYesno},
		{"network", "networks", "NETWORK", "from where tokens are good, e.g. 10.0.0.0/8; can be given several times; none: from anywhere", readList},
		{"idle-expiry", "idle_expiry", "TIME", "tokens that are unused for so long are blocked, e.g. 90d; none: never", readText},
		{"token-limit", "token_limit", "N/TIME", "how often each token may be used, e.g. 100/1m, or none", readLimit},
		{"holder-limit", "holder_limit", "N/TIME", "how often all tokens of one holder together may be used, e.g. 1000/1h, or none", readLimit},
		{"description-required", "description_required", "BOOL", "whether every new token says what it is for: yes or no", readYesno},
		{"approval-kind", "approval.kinds", "KIND", "new tokens of this kind wait for approval: personal, administrative or service; can be given several times", readList},
		{"approval-grant", "approval.grants", "GRANT", "new tokens with this wait for approval: read-only, full-access, a role or a permission; can be given several times", readList},
		{"approval-lapse", "approval.lapse", "TIME", "how long a token waits until nobody can approve it any more, e.g. 7d", readText},
		{"longest-overlap", "longest_overlap", "TIME", "how long a secret may outlive its rotation, at most 7d; none: it ends at once", readText},
		{"reuse", "reuse", "REPORT|REVOKE", "when a secret is shown that was rotated out: report, or revoke the token too", readText},
		{"last-used-by-day", "last_used_by_day", "BOOL", "whether only the day is shown on which a token was last used: yes or no", readYesno},
	}
	for _, kind := range []string{"personal", "administrative", "service"} {
		fields = append(fields, kindFields(kind)...)
	}
	return fields
}

func kindFields(kind string) []policyField {
	flag, path, tokens := kind+"-", "kinds."+kind+".", kind+" tokens: "
	return []policyField{
		{flag + "creator", path + "creators", "ROLE", tokens + "only who has this role makes them; can be given several times; none: whoever has the permission", readList},
		{flag + "per-holder", path + "per_holder", "N", tokens + "how many live ones a holder has at most; 0: any number", readNumber},
		{flag + "default-life", path + "default_life", "TIME", tokens + "how long one lives that asks for nothing, e.g. 30d; none: a year", readText},
		{flag + "longest-life", path + "longest_life", "TIME", tokens + "how long one lives at most, e.g. 90d; none: any time", readText},
		{flag + "latest-expiry", path + "latest_expiry", "DATE", tokens + "when the last one ends: 2027-06-30 (0:00 UTC) or 2027-06-30T12:00:00Z; none: there is no such date", readMoment},
		{flag + "never", path + "never", "BOOL", tokens + "whether one may be without an end: yes or no", readYesno},
	}
}

func readYesno(text string, _ any) (any, error) { return parseYesno(text) }
func readText(text string, _ any) (any, error)  { return orNone(text), nil }

func readNumber(text string, _ any) (any, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}

func readList(text string, before any) (any, error) {
	list, _ := before.([]string)
	return listed(append(list, text)), nil
}

// readLimit and readMoment take none for null.
func readLimit(text string, _ any) (any, error) {
	l, err := parseLimit(text)
	if err != nil || l.Requests == 0 {
		return nil, err
	}
	return l, nil
}

func readMoment(text string, _ any) (any, error) {
	if text == "none" {
		return nil, nil
	}
	return parseMoment(text), nil
}

// entry is a flag that puts what it is given into a change.
type entry struct {
	change map[string]any
	policyField
}

var _ pflag.Value = entry{}

func (e entry) Set(text string) (err error) {
	inner, name := place(e.change, e.path)
	inner[name], err = e.read(text, inner[name])
	return err
}

func (entry) String() string { return "" }
func (e entry) Type() string { return e.kind }

// place is where a path ends in a change, which grows as needed.
func place(change map[string]any, path string) (map[string]any, string) {
	for {
		head, rest, deeper := strings.Cut(path, ".")
		if !deeper {
			return change, head
		}
		inner, there := change[head].(map[string]any)
		if !there {
			inner = map[string]any{}
			change[head] = inner
		}
		change, path = inner, rest
	}
}

// policyChange takes the change from a file if there is one, with the version that
// was read.
func (r *remote) policyChange(from string, change map[string]any) (version uint64, err error) {
	switch {
	case from == "" && len(change) == 0:
		return 0, usage("nothing is to be changed\n  next: see jeton policy set --help for what can be")
	case from == "":
		return 0, nil
	case len(change) > 0:
		return 0, usage("--from has the whole change\n  next: leave it out, or all flags that say a part of the policy")
	case from == "-" && r.tokenFile == "-":
		return 0, usage("--token-file and --from can't both be standard input")
	}
	text, err := r.program.readAll(from)
	if err != nil {
		return 0, fmt.Errorf("read the policy: %w", err)
	}
	return parsePolicy(text, change)
}

func (p *Program) readAll(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(p.Stdin, answerLimit))
	}
	return os.ReadFile(file)
}

// parsePolicy reads a change, and leaves out what the service shows and nobody sets.
func parsePolicy(text []byte, change map[string]any) (version uint64, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&change); err != nil || change == nil || decoder.More() {
		return 0, usage("that is not the JSON of a policy\n  next: begin with what jeton policy show -o json prints")
	}
	if n, is := change["version"].(json.Number); is {
		version, _ = strconv.ParseUint(n.String(), 10, 64)
	}
	shown := func(name string, _ any) bool {
		return slices.Contains([]string{"version", "blocked", "blocks", "locks_out"}, name)
	}
	maps.DeleteFunc(change, shown)
	kinds, _ := change["kinds"].(map[string]any)
	for _, kind := range kinds {
		if fields, is := kind.(map[string]any); is {
			delete(fields, "presets")
		}
	}
	return version, nil
}

func (r *remote) setPolicy(ctx context.Context, change map[string]any, version uint64, dry bool) error {
	return r.within(ctx, func(ctx context.Context, c *client, org string) error {
		path := org + "/policy"
		if dry {
			path += "?dry_run=true"
		}
		var is json.RawMessage
		if err := c.doSeen(ctx, "PATCH", path, version, change, &is); err != nil {
			return err
		}
		if dry && r.output != "json" {
			return r.showBlocked(is)
		}
		return policyShape.one(r.program.Stdout, r.output, is)
	})
}

// showBlocked lists what a policy would block.
func (r *remote) showBlocked(raw json.RawMessage) error {
	var would policy
	if err := json.Unmarshal(raw, &would); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintf(r.program.Stderr, "%s would be blocked; nothing was changed\n", would.blocked())
	if would.LocksOut != "" {
		fmt.Fprintf(r.program.Stderr, "the change itself would be refused: %s\n  next: rotate the token that you show, with an end that the policy allows\n", would.LocksOut)
	}
	return blockedShape.list(r.program.Stdout, r.output, would.Blocks)
}
