package http

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// Policy is what an organization demands of its tokens. Lengths of time are text
// like 15m, 30d or 1y. It is exported because huma looks into exported fields only.
type Policy struct {
	TokensEnabled       bool            `json:"tokens_enabled" doc:"false: no token is good, but to read and change this policy. Nothing is deleted."`
	BoundTokensOnly     bool            `json:"bound_tokens_only" doc:"true: personal tokens that follow their holders from other organizations are not good here."`
	Networks            []string        `json:"networks" nullable:"false" doc:"Tokens are good only from these networks, as CIDR writes them; empty: from anywhere."`
	IdleExpiry          string          `json:"idle_expiry" doc:"A token that is unused for so long is blocked; empty: never." example:"90d"`
	TokenLimit          OrNull[Limit]   `json:"token_limit" doc:"How often each token may be used; null: as often as it likes."`
	HolderLimit         OrNull[Limit]   `json:"holder_limit" doc:"How often all tokens of one holder together may be used; null: as often as they like."`
	Kinds               KindPolicies    `json:"kinds" doc:"What is demanded of each kind of token."`
	DescriptionRequired bool            `json:"description_required" doc:"Whether every new token says what it is for."`
	Approval            ApprovalPolicy  `json:"approval" doc:"Which new tokens wait until somebody else approves them."`
	LongestOverlap      string          `json:"longest_overlap" doc:"How long a secret may outlive its rotation at most, up to 7d; empty: it ends at once." example:"7d"`
	Reuse               string          `json:"reuse" enum:"report,revoke" doc:"What happens when a secret is shown that was rotated out: it is recorded, or the token ends as well."`
	LastUsedByDay       bool            `json:"last_used_by_day" doc:"Whether only the day is shown on which a token was last used."`
	Version             domain.Position `json:"version" doc:"The number inside its ETag."`
}

// KindPolicies are what is demanded of each kind of token.
type KindPolicies struct {
	Personal       KindPolicy `json:"personal" doc:"Of the tokens of members."`
	Administrative KindPolicy `json:"administrative" doc:"Of the tokens of the organization itself."`
	Service        KindPolicy `json:"service" doc:"Of the tokens of service accounts."`
}

// KindPolicy is what is demanded of one kind of token.
type KindPolicy struct {
	Creators     []string       `json:"creators" nullable:"false" doc:"Only who has one of these roles may make them; empty: whoever has the permission."`
	PerHolder    int            `json:"per_holder" doc:"How many live ones a holder has at most; 0: any number."`
	DefaultLife  string         `json:"default_life" doc:"How long one lives that asks for nothing; empty: to the same day next year." example:"30d"`
	LongestLife  string         `json:"longest_life" doc:"How long one lives at most; empty: any time. Those that live longer are blocked." example:"90d"`
	LatestExpiry OrNull[string] `json:"latest_expiry" format:"date-time" doc:"When the last one ends; null: there is no such date. Those that end later are blocked."`
	Never        bool           `json:"never" doc:"Whether one may be without an end. If not, those that are without are blocked."`
	Presets      []string       `json:"presets" nullable:"false" doc:"The usual lives that the policy allows, to be offered to people."`
}

// ApprovalPolicy says which new tokens wait.
type ApprovalPolicy struct {
	Kinds  []string `json:"kinds" nullable:"false" enum:"personal,administrative,service" doc:"All of these kinds: personal, administrative, service."`
	Grants []string `json:"grants" nullable:"false" doc:"All that are given one of these: read-only, full-access, the name of a role or that of a permission."`
	Lapse  string   `json:"lapse" doc:"How long one waits before nobody can approve it any more." example:"7d"`
}

// policyChange is what is to be otherwise. What is left out stays as it is.
type policyChange struct {
	TokensEnabled       *bool           `json:"tokens_enabled,omitempty" doc:"false: no token is good, but to read and change this policy. Nothing is deleted."`
	BoundTokensOnly     *bool           `json:"bound_tokens_only,omitempty" doc:"true: personal tokens that follow their holders from other organizations are not good here."`
	Networks            *[]string       `json:"networks,omitempty" maxItems:"50" doc:"Tokens are good only from these networks, as CIDR writes them; empty: from anywhere." example:"[\"10.0.0.0/8\"]"`
	IdleExpiry          *string         `json:"idle_expiry,omitempty" maxLength:"40" doc:"A token that is unused for so long is blocked, a day to ten years; empty: never." example:"90d"`
	TokenLimit          OrNull[Limit]   `json:"token_limit,omitzero" doc:"How often each token may be used; null: as often as it likes."`
	HolderLimit         OrNull[Limit]   `json:"holder_limit,omitzero" doc:"How often all tokens of one holder together may be used; null: as often as they like."`
	Kinds               *kindChanges    `json:"kinds,omitempty" doc:"What is demanded of each kind of token."`
	DescriptionRequired *bool           `json:"description_required,omitempty" doc:"Whether every new token says what it is for."`
	Approval            *approvalChange `json:"approval,omitempty" doc:"Which new tokens wait until somebody else approves them."`
	LongestOverlap      *string         `json:"longest_overlap,omitempty" maxLength:"40" doc:"How long a secret may outlive its rotation at most, up to 7d; empty: it ends at once." example:"7d"`
	Reuse               *string         `json:"reuse,omitempty" enum:"report,revoke" doc:"What happens when a secret is shown that was rotated out: it is recorded, or the token ends as well."`
	LastUsedByDay       *bool           `json:"last_used_by_day,omitempty" doc:"Whether only the day is shown on which a token was last used."`
}

type kindChanges struct {
	Personal       *kindChange `json:"personal,omitempty" doc:"Of the tokens of members."`
	Administrative *kindChange `json:"administrative,omitempty" doc:"Of the tokens of the organization itself."`
	Service        *kindChange `json:"service,omitempty" doc:"Of the tokens of service accounts."`
}

type kindChange struct {
	Creators     *[]string      `json:"creators,omitempty" maxItems:"100" doc:"Only who has one of these roles may make them; empty: whoever has the permission." example:"[\"admin\"]"`
	PerHolder    *int           `json:"per_holder,omitempty" minimum:"0" maximum:"100000" doc:"How many live ones a holder has at most; 0: any number."`
	DefaultLife  *string        `json:"default_life,omitempty" maxLength:"40" doc:"How long one lives that asks for nothing; empty: to the same day next year." example:"30d"`
	LongestLife  *string        `json:"longest_life,omitempty" maxLength:"40" doc:"How long one lives at most, up to 100y; empty: any time." example:"90d"`
	LatestExpiry OrNull[string] `json:"latest_expiry,omitzero" format:"date-time" doc:"When the last one ends, in RFC 3339; null: there is no such date." example:"2027-06-30T12:00:00Z"`
	Never        *bool          `json:"never,omitempty" doc:"Whether one may be without an end."`
}

type approvalChange struct {
	Kinds  *[]string `json:"kinds,omitempty" maxItems:"3" enum:"personal,administrative,service" doc:"All of these kinds: personal, administrative, service." example:"[\"administrative\"]"`
	Grants *[]string `json:"grants,omitempty" maxItems:"100" doc:"All that are given one of these: read-only, full-access, the name of a role or that of a permission." example:"[\"full-access\"]"`
	Lapse  *string   `json:"lapse,omitempty" maxLength:"40" doc:"How long one waits before nobody can approve it any more, up to 1y; empty: 7d." example:"7d"`
}

// policyChanged is the policy as it is then, with what it blocks.
type policyChanged struct {
	Policy
	Blocked  int            `json:"blocked" doc:"How many live tokens this blocks that were not blocked before. Where they are used from is not known here: tokens outside of new networks are not counted."`
	LocksOut string         `json:"locks_out,omitempty" doc:"Why the change itself would be refused: it would block the token that you show."`
	Blocks   []blockedToken `json:"blocks" nullable:"false" doc:"The first 1000 of them. Who may not see everybody's tokens sees their own."`
}

type blockedToken struct {
	ID         string         `json:"id" doc:"The token's id." example:"0123456789abcdef"`
	Name       string         `json:"name,omitempty" doc:"What it is called."`
	Kind       string         `json:"kind" enum:"personal,administrative,service" doc:"Whose it is: a member's, the organization's, a service account's."`
	Holder     *person        `json:"holder,omitempty" doc:"The member to whom it belongs."`
	Reason     domain.Reason  `json:"reason" doc:"Why it is blocked: off, policy, idle."`
	LastUsedAt domain.Instant `json:"last_used_at,omitzero" format:"date-time" doc:"When it was last used; absent: never, as far as it is known."`
}

// maxBlocks is how many blocked tokens are named in one answer.
const maxBlocks = 1000

// evenOff is the access of the policy: it admits also while the organization has
// switched tokens off, or they could never be switched on again.
func (a access) evenOff() access {
	a.off = true
	return a
}

// policy answers GET /api/v1/organizations/{org}/policy, from memory.
func (s *Server) policy(_ context.Context, c Caller, _ *struct{ InOrganization }) (*answer[Policy], error) {
	p, changed := s.Model.Policy(c.Organization)
	return &answer[Policy]{ETag: etag(changed), Body: describePolicy(p, changed)}, nil
}

// policyUpdate answers PATCH /api/v1/organizations/{org}/policy.
func (s *Server) policyUpdate(ctx context.Context, c Caller, in *struct {
	InOrganization
	IfMatch
	DryRun bool `query:"dry_run" doc:"true: only say what would be blocked. Refused like the change itself, unless that is refused because it would lock you out: then locks_out says so."`
	Body   policyChange
},
) (*answer[policyChanged], error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	for range policyTries {
		answer, err := s.changePolicy(ctx, c, in.Body, seen, in.DryRun)
		if seen != 0 || !errors.Is(err, domain.ErrStale) {
			return answer, err
		}
	}
	return nil, eventstore.ErrConflict
}

// policyTries is how often a change without If-Match begins anew that somebody
// else's has overtaken. The domain is given the whole policy: what the other has
// changed must be in it.
const policyTries = 16

// changePolicy makes the change to the policy as it is now.
func (s *Server) changePolicy(ctx context.Context, c Caller, change policyChange, seen domain.Position, dry bool) (*answer[policyChanged], error) {
	was, version := s.Model.Policy(c.Organization)
	wanted, err := change.apply(was)
	if err != nil {
		return nil, err
	}
	blocked, err := s.Model.Blocks(c.Organization, wanted) // before it is made: then they are blocked already
	if err != nil {
		return nil, asWritten(err)
	}
	at, err := s.setPolicy(ctx, c, domain.UpdatePolicy{Policy: wanted, Seen: cmp.Or(seen, version)}, dry)
	locksOut := ""
	if dry && errors.Is(err, domain.ErrState) { // then a list is what helps
		locksOut, err = err.Error(), nil
	}
	if err != nil {
		return nil, asWritten(err)
	}
	version = max(version, at)
	behind := s.settled(ctx, version)
	body := policyChanged{Policy: describePolicy(wanted, version), Blocked: len(blocked), LocksOut: locksOut}
	var nameless string
	body.Blocks, nameless = s.describeBlocked(ctx, c, blocked, was.UsedByDay || wanted.UsedByDay)
	return &answer[policyChanged]{ETag: etag(version), Views: cmp.Or(behind, nameless), Body: body}, nil
}

// setPolicy sets the policy, or (dry) only says whether it could, and answers where
// that stands in the log; zero: nothing had to be done.
func (s *Server) setPolicy(ctx context.Context, c Caller, command domain.UpdatePolicy, dry bool) (domain.Position, error) {
	if dry {
		_, err := s.Model.Try(c.Meta(), command)
		return 0, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), command)
	return outcome.Position, err
}

// describeBlocked shows blocked tokens to somebody who may read tokens, or their
// own. While the views can't be asked the tokens have no names.
func (s *Server) describeBlocked(ctx context.Context, c Caller, blocked []projections.Blocked, byDay bool) (shown []blockedToken, behind string) {
	everybodys := s.Model.AllowsWhileOff(c.Meta(), domain.TokensReadAny) == nil
	shown = make([]blockedToken, 0, min(len(blocked), maxBlocks))
	for _, b := range blocked {
		t, _ := s.Model.Token(c.Organization, b.ID)
		if len(shown) == maxBlocks || !everybodys && (t.Kind != domain.Personal || t.Holder != c.Actor().Account) {
			continue
		}
		described := blockedToken{ID: b.ID.String(), Kind: t.Kind.String(), Reason: b.Reason, LastUsedAt: lastUsed(b.Used, byDay)}
		if t.Kind == domain.Personal {
			described.Holder = s.person(t.Holder)
		}
		if behind == "" {
			described.Name, behind = s.tokenName(ctx, c, b.ID)
		}
		shown = append(shown, described)
	}
	return shown, behind
}

// tokenName is what people call a token, if the views can say.
func (s *Server) tokenName(ctx context.Context, c Caller, id domain.TokenID) (name, behind string) {
	row, err := s.Views.Token(ctx, c.Organization, id)
	if err != nil {
		return "", viewsBehind
	}
	return row.Name, ""
}

// lastUsed is when a token was last used as others may know it: to the minute, or
// to the day of UTC.
func lastUsed(at domain.Instant, byDay bool) domain.Instant {
	const day = 24 * 60 * 60 * 1000
	if byDay {
		at -= at % day
	}
	return at
}

func describePolicy(p domain.Policy, version domain.Position) Policy {
	return Policy{
		TokensEnabled: !p.Off, BoundTokensOnly: p.BoundOnly, Networks: describeNetworks(p.Networks), IdleExpiry: describeLength(p.Idle),
		TokenLimit: orNull(describeLimit(p.TokenLimit)), HolderLimit: orNull(describeLimit(p.HolderLimit)),
		Kinds:               KindPolicies{describeKind(p.Personal), describeKind(p.Administrative), describeKind(p.Service)},
		DescriptionRequired: p.Description,
		Approval:            describeApproval(p.Approval),
		LongestOverlap:      describeLength(p.Overlap), Reuse: string(p.Reuse), LastUsedByDay: p.UsedByDay, Version: version,
	}
}

func describeKind(k domain.KindPolicy) KindPolicy {
	described := KindPolicy{
		Creators: words(k.Creators), PerHolder: k.PerHolder, DefaultLife: describeLength(k.Default), LongestLife: describeLength(k.Longest),
		LatestExpiry: orNull[string](nil), Never: k.Never, Presets: describeLengths(k.Presets()),
	}
	if k.Latest != 0 {
		described.LatestExpiry = orNull(new(k.Latest.String()))
	}
	return described
}

func describeApproval(a domain.Approval) ApprovalPolicy {
	kinds := make([]string, len(a.Kinds))
	for i, kind := range a.Kinds {
		kinds[i] = kind.String()
	}
	return ApprovalPolicy{Kinds: kinds, Grants: words(a.Grants), Lapse: describeLength(cmp.Or(a.Lapse, domain.UsualLapse))}
}

// apply is a policy with the change made: the change is laid over the policy as it
// is described, and all of that is read.
func (change policyChange) apply(to domain.Policy) (domain.Policy, error) {
	wanted := describePolicy(to, 0)
	text, err := json.Marshal(change)
	if err != nil {
		return to, err
	}
	if err := json.Unmarshal(text, &wanted); err != nil {
		return to, err
	}
	return wanted.policy()
}

// policy is the same as the domain has it. The first thing that can't be read is
// the error.
func (p Policy) policy() (domain.Policy, error) {
	var r reader
	wanted := domain.Policy{
		Off: !p.TokensEnabled, BoundOnly: p.BoundTokensOnly, Networks: r.networks(p.Networks), Idle: r.length("idle_expiry", p.IdleExpiry),
		TokenLimit: r.limit("token_limit", p.TokenLimit), HolderLimit: r.limit("holder_limit", p.HolderLimit),
		Personal:       r.kind("kinds.personal", p.Kinds.Personal),
		Administrative: r.kind("kinds.administrative", p.Kinds.Administrative),
		Service:        r.kind("kinds.service", p.Kinds.Service),
		Description:    p.DescriptionRequired,
		Approval:       r.approval(p.Approval),
		Overlap:        r.length("longest_overlap", p.LongestOverlap), Reuse: domain.Reuse(p.Reuse), UsedByDay: p.LastUsedByDay,
	}
	return wanted, r.err
}

// reader reads one text after the other and remembers what was wrong first.
type reader struct{ err error }

func (r *reader) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) length(field, text string) domain.Seconds {
	s, err := length(field, text)
	r.note(err)
	return s
}

func (r *reader) networks(texts []string) []domain.Network {
	all, err := networks(texts)
	r.note(err)
	return all
}

func (r *reader) limit(field string, l OrNull[Limit]) domain.Limit {
	limit, err := l.Value.limit(field)
	r.note(err)
	return limit
}

func (r *reader) moment(field string, text OrNull[string]) domain.Instant {
	if text.Value == nil {
		return 0
	}
	at, err := moment(field, *text.Value)
	r.note(err)
	return at
}

func (r *reader) kind(field string, k KindPolicy) domain.KindPolicy {
	return domain.KindPolicy{
		Creators: listOf[domain.Role](k.Creators), PerHolder: k.PerHolder, Never: k.Never,
		Default: r.length(field+".default_life", k.DefaultLife), Longest: r.length(field+".longest_life", k.LongestLife),
		Latest: r.moment(field+".latest_expiry", k.LatestExpiry),
	}
}

// approval reads the time that is the usual one as none: it is how none is shown.
func (r *reader) approval(a ApprovalPolicy) domain.Approval {
	read := domain.Approval{Grants: some(a.Grants), Lapse: r.length("approval.lapse", a.Lapse)}
	if read.Lapse == domain.UsualLapse {
		read.Lapse = 0
	}
	for _, text := range a.Kinds {
		kind, err := domain.ParseTokenKind(text)
		r.note(err)
		read.Kinds = append(read.Kinds, kind)
	}
	return read
}

// policyFields are the names that the domain has for fields, and those in bodies.
var policyFields = strings.NewReplacer(
	"personal.", "kinds.personal.", "administrative.", "kinds.administrative.", "service.", "kinds.service.",
	"default", "default_life", "longest", "longest_life", "latest", "latest_expiry",
	"idle", "idle_expiry", "overlap", "longest_overlap",
)

// asWritten names the field that the domain refuses as it is called in the body.
func asWritten(err error) error {
	var refused *domain.Refusal
	if !errors.As(err, &refused) || refused.Field == "" {
		return err
	}
	renamed := *refused
	renamed.Field = policyFields.Replace(refused.Field)
	return &renamed
}
