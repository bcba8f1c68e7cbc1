package projections

import (
	"cmp"
	"context"
	"slices"

	"jeton/domain"
)

// Step is something that has happened to a token, or to what it depends on: its holder,
// a role, the policy, a permission. Of the latter only what changed what it could do is
// a step.
type Step struct {
	Position domain.Position // of the commit; 0: nothing happened but that time has passed
	Time     domain.Instant
	By       Author
	Event    domain.Event // what has happened; nil: see Passed
	Passed   Passing
	Around   bool          // it is not about the token itself
	Reason   domain.Reason // why the token opened nothing afterwards; ReasonNone: it was active
	Lost     []string      // the permissions that it had before and not afterwards
	Gained   []string      // those that it had afterwards and not before
}

// Passing is what time does to a token.
type Passing string

const (
	PassedExpiry  Passing = "expired"
	PassedBegin   Passing = "begun"       // its time has begun
	PassedOverlap Passing = "overlapped"  // the secret that was rotated out works no longer
	PassedLapse   Passing = "out-of-time" // nobody can approve it any more
)

// History is all that has happened to a token until a moment, the oldest first. It is
// made from the commits themselves: those about it, and those about what all tokens
// depend on.
func (p *Past) History(ctx context.Context, org domain.OrganizationID, id domain.TokenID, until Moment) ([]Step, error) {
	commits, err := p.Views.about(ctx, org, id, until.Position)
	if err != nil {
		return nil, err
	}
	h := story{id: id, o: domain.NewOrganization(org)}
	for _, c := range p.with(ctx, commits, org, id, until) {
		h.pass(c.Time)
		h.take(c)
	}
	h.pass(until.Time)
	return h.steps, nil
}

const commitsOfToken = `
SELECT c.position, c.boundary, c.id, c.data, c.chain, COALESCE(a.number, 0), COALESCE(a.email, ''), COALESCE(a.name, '')
FROM commits c
LEFT JOIN accounts_versions a ON a.id = c.account AND a.since <= c.position AND a.until > c.position
WHERE c.position <= ? AND c.position IN (
	SELECT number FROM tokens WHERE organization = ? AND id = ?
	UNION
	SELECT until FROM tokens_past WHERE organization = ? AND id = ?)
ORDER BY c.position`

// about are the commits that a token's history is made from.
func (v *Views) about(ctx context.Context, org domain.OrganizationID, id domain.TokenID, until domain.Position) ([]CommitRow, error) {
	own, err := v.commits(ctx, commitsOfToken, until, org, id, org, id)
	if err != nil {
		return nil, err
	}
	if len(own) == 0 {
		return nil, domain.Refuse(domain.ErrNotFound, "there is no such token", "look at the list of tokens")
	}
	settings, err := v.settings(ctx, org, until)
	if err != nil {
		return nil, err
	}
	return byPosition(append(own, settings...)), nil
}

// byPosition is the commits by their positions, each once.
func byPosition(all []CommitRow) []CommitRow {
	slices.SortStableFunc(all, func(a, b CommitRow) int { return cmp.Compare(a.Position, b.Position) })
	return slices.CompactFunc(all, func(a, b CommitRow) bool { return a.Position == b.Position })
}

// with adds the commit that has deleted the account of the token's holder, if one had
// by then: it is in no organization.
func (p *Past) with(ctx context.Context, commits []CommitRow, org domain.OrganizationID, id domain.TokenID, until Moment) []CommitRow {
	token, _ := p.Model.Token(org, id)
	for _, person := range p.Model.everMembers(org) {
		if person.id != token.Holder || !person.gone.Load() || !until.has(person.ended, person.endedAt) {
			continue
		}
		if c, err := p.Views.Commit(ctx, domain.OrganizationID{}, person.ended); err == nil {
			commits = byPosition(append(commits, c))
		}
	}
	return commits
}

// story is an organization with one token.
type story struct {
	id      domain.TokenID
	o       *domain.Organization
	now     domain.Instant
	deleted bool // the holder's account is
	was     abilities
	steps   []Step
}

// abilities are what a token can do.
type abilities struct {
	reason domain.Reason
	allows []string
}

// able is what the token can do at a moment. Whether it was used is not known, and is
// not held against it.
func (h *story) able(at domain.Instant) abilities {
	s := h.o.Describe(h.id, &domain.Ask{Now: at, Used: at})
	switch {
	case !s.Active():
		return abilities{s.Reason, nil}
	case h.deleted && s.Token.Kind == domain.Personal:
		return abilities{domain.ReasonDeleted, nil}
	}
	return abilities{domain.ReasonNone, s.Allows}
}

func (h *story) take(c CommitRow) {
	h.now = c.Time
	for _, e := range c.Events {
		own := h.isAbout(e)
		switch e := e.(type) {
		case domain.AccountDeleted:
			h.deleted = true
		case domain.OrganizationEvent:
			if !own && !isSetting(e) {
				continue
			}
			e.Evolve(h.o, c.Meta)
		default:
			continue
		}
		is := h.able(c.Time)
		if own || is.reason != h.was.reason || !slices.Equal(is.allows, h.was.allows) {
			h.add(Step{Position: c.Position, Time: c.Time, By: Author{c.Actor, c.Number, c.Email, c.Name}, Event: e, Around: !own}, is)
		}
	}
}

// isAbout reports whether an event is about the token. One that ends many is if the
// token was among them.
func (h *story) isAbout(e domain.Event) bool {
	switch e := e.(type) {
	case domain.TokenIssued:
		return e.Token == h.id
	case domain.TokensRevoked:
		return true // else the commit would not be here, or the token not there yet
	}
	id, is := tokenIn(e)
	return is && id == h.id
}

// add adds a step, unless the token is not there yet.
func (h *story) add(s Step, is abilities) {
	if is.reason == domain.ReasonUnknown {
		return
	}
	for _, name := range h.was.allows {
		if !slices.Contains(is.allows, name) {
			s.Lost = append(s.Lost, name)
		}
	}
	for _, name := range is.allows {
		if !slices.Contains(h.was.allows, name) {
			s.Gained = append(s.Gained, name)
		}
	}
	s.Reason, h.was = is.reason, is
	h.steps = append(h.steps, s)
}

// pass lets time pass: what ends or begins by itself until then is a step of its own.
func (h *story) pass(until domain.Instant) {
	t, known := h.o.Tokens.Find(h.id)
	if !known || t.Revoked {
		return
	}
	type passing struct {
		at   domain.Instant
		what Passing
	}
	coming := []passing{{t.Expires, PassedExpiry}, {h.o.Terms(t).NotBefore, PassedBegin}, {h.o.Until(h.id, h.now), PassedOverlap}}
	for _, waiting := range h.o.Waiting(h.now) {
		coming = append(coming, passing{waiting.Until, PassedLapse})
	}
	slices.SortStableFunc(coming, func(a, b passing) int { return cmp.Compare(a.at, b.at) })
	for _, c := range coming {
		if c.at > h.now && c.at <= until {
			h.add(Step{Time: c.at, Passed: c.what}, h.able(c.at))
		}
	}
}
