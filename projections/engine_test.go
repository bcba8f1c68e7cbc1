package projections

import (
	"testing"
	"time"

	"jeton/domain"
)

// registering is a command that registers an engine, and the engine's access token.
func registering(name string, door domain.Door) (domain.RegisterEngine, domain.Secret) {
	c, secret := issuing(domain.Administrative, name)
	return domain.RegisterEngine{Name: name, Door: door, EngineToken: domain.EngineToken{Token: c.Token, Hash: c.Hash, Never: true}}, secret
}

// engine registers an engine in the first organization and answers its number.
func (w *world) engine(name string, door domain.Door) domain.Position {
	w.Helper()
	c, _ := registering(name, door)
	return w.do(w.owner.actor, c).Position
}

// personal is the door of an engine that takes personal tokens.
var personal = domain.Door{PersonalTokens: true}

// verifying is a door with a verification token.
func verifying(d domain.Door) domain.Door {
	d.Verification = hashOf("verification-token")
	return d
}

func TestEngineRows(t *testing.T) {
	w := newWorld(t)
	neighbour, _ := w.create("other", "other@example.org")
	made := domain.At(w.now())
	c, _ := registering("prod", verifying(domain.Door{}))
	c.Listing = domain.Listing{Project: "p", URL: "https://dblab.example.org", Description: "the first", Resources: []domain.Resource{"branch:main"}}
	c.Defines = []domain.Definition{{Name: "clones.create", Group: "clones", Resource: "engine"}}
	c.Listing.Permissions = []string{"clones.create"}
	prod := w.do(w.owner.actor, c).Position
	w.pass(time.Minute)
	lab := w.engine("lab", domain.Door{Open: true})
	other, _ := registering("", domain.Door{})
	replaced := w.do(w.owner.actor, domain.ReplaceEngineToken{Engine: prod, EngineToken: other.EngineToken}).Position
	gone := w.engine("gone", personal)
	w.do(w.owner.actor, domain.DeleteEngine{Engine: gone})

	yes := true
	door, listing := domain.Door{PersonalTokens: true, NoFallback: true}, domain.Listing{Description: "changed"}
	w.do(w.owner.actor, domain.UpdateEngine{Engine: lab, Disabled: &yes})
	w.do(w.owner.actor, domain.UpdateEngine{Engine: lab, Door: &door})
	changed := w.do(w.owner.actor, domain.UpdateEngine{Engine: lab, Listing: &listing}).Position
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		v := viewsOf(here, url)
		all, err := v.Engines(t.Context(), w.org, Page{})
		fails(t, "engines", err, nil)
		labs, _ := w.model.Engine(w.org, lab)
		owner := Author{w.owner.actor, 1, "owner@example.org", ""}
		want := []EngineRow{
			{w.org, prod, "prod", c.Listing, c.Door, other.Token, made, owner, replaced},
			{w.org, lab, "lab", listing, domain.Door{PersonalTokens: true, NoFallback: true, Disabled: true}, labs.Token, made + minute, owner, changed},
		}
		sameText(t, all, want)
		page, err := v.Engines(t.Context(), w.org, Page{After: prod, Limit: 1})
		fails(t, "a page", err, nil)
		sameText(t, page, want[1:])
		one, err := v.Engine(t.Context(), w.org, prod)
		fails(t, "engine", err, nil)
		sameText(t, one, want[0])
		_, err = v.Engine(t.Context(), neighbour, prod)
		fails(t, "asked by the neighbour", err, domain.ErrNotFound)
		_, err = v.Engine(t.Context(), w.org, gone)
		fails(t, "one that is gone", err, domain.ErrNotFound)
		none, err := v.Engines(t.Context(), neighbour, Page{})
		if err != nil || len(none) > 0 {
			t.Errorf("engines of the neighbour: %v (%v)", none, err)
		}
	})
}

func TestEngineInTheModel(t *testing.T) {
	w := newWorld(t)
	neighbour, _ := w.create("other", "other@example.org")
	c, _ := registering("prod", personal)
	number := w.do(w.owner.actor, c).Position
	other := w.other()
	for name, m := range map[string]*Model{"this node": w.model, "another": other} {
		e, known := m.Engine(w.org, number)
		of, knownOf := m.EngineOf(w.org, c.Token)
		if !known || !knownOf || e.Name != "prod" || of.Number != number || e.Token != c.Token {
			t.Errorf("%s: %+v %v, by its token %+v %v", name, e, known, of, knownOf)
		}
		_, known = m.Engine(neighbour, number)
		_, knownOf = m.EngineOf(neighbour, c.Token)
		if known || knownOf {
			t.Errorf("%s: the neighbour has it", name)
		}
		_, knownOf = m.EngineOf(w.org, w.owner.first)
		same(t, "a token that is of no engine", knownOf, false)
	}
	w.do(w.owner.actor, domain.DeleteEngine{Engine: number})
	_, known := w.model.Engine(w.org, number)
	_, knownOf := w.model.EngineOf(w.org, c.Token)
	same(t, "known when it is gone", known || knownOf, false)
}

// TestEnter: the model's door is the domain's door, with what only the model knows.
func TestEnter(t *testing.T) {
	for name, c := range map[string]struct {
		door   domain.Door
		do     func(w *world, bob somebody, secret domain.Secret) string // what is shown; nil: bob's
		use    Use
		via    domain.Via
		email  string
		reason domain.Reason
		denied domain.Reason
	}{
		"a personal token": {door: personal, via: domain.ViaPersonal, email: "bob@example.org"},
		"a personal token where none is taken": {
			door: verifying(domain.Door{}), reason: domain.ReasonDoor,
		},
		"the verification token": {
			door: verifying(domain.Door{}), do: func(*world, somebody, domain.Secret) string { return "verification-token" },
			via: domain.ViaVerification, email: "somebody@example.org",
		},
		"an open engine": {door: domain.Door{Open: true}, via: domain.ViaOpen},
		"no token":       {door: personal, do: shows(""), reason: domain.ReasonMalformed},
		"an unknown token": {
			door: personal, do: func(*world, somebody, domain.Secret) string { _, s := issuing(domain.Personal, ""); return s.Reveal() },
			reason: domain.ReasonUnknown,
		},
		"a token of somebody else is unknown": {
			door: personal, do: func(w *world, _ somebody, _ domain.Secret) string {
				_, theirs := w.create("other", "other@example.org")
				return theirs.secret.Reveal()
			}, reason: domain.ReasonUnknown,
		},
		"an administrative token": {
			door: personal, do: func(w *world, _ somebody, _ domain.Secret) string {
				_, s := w.issue(w.owner.actor, domain.Administrative, "robot")
				return s.Reveal()
			}, reason: domain.ReasonDoor,
		},
		"revoked": {
			door: personal, do: func(w *world, bob somebody, s domain.Secret) string {
				w.do(w.owner.actor, domain.RevokeToken{Token: bob.first})
				return bob.secret.Reveal()
			}, reason: domain.ReasonRevoked,
		},
		"an account that was deleted": {
			door: personal, do: func(w *world, bob somebody, s domain.Secret) string {
				w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: bob.id})
				return bob.secret.Reveal()
			}, reason: domain.ReasonDeleted,
		},
		"a limit that is used up": {
			door: personal, do: func(w *world, bob somebody, s domain.Secret) string {
				limit := domain.Limit{Requests: 1, Window: 3600}
				w.do(w.owner.actor, domain.UpdateMember{Account: bob.id, Limit: &limit})
				w.check(w.model, bob.secret)
				return bob.secret.Reveal()
			}, reason: domain.ReasonLimited,
		},
		"a permission that they lack": {door: personal, use: Use{Permission: "members.add"}, denied: domain.ReasonPermission},
		"a permission that they have": {door: personal, use: Use{Permission: "tokens.check"}, via: domain.ViaPersonal, email: "bob@example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bob := w.join("bob@example.org", domain.Ordinary)
			engine := w.engine("prod", c.door)
			text := bob.secret.Reveal()
			if c.do != nil {
				text = c.do(w, bob, bob.secret)
			}
			got, err := w.model.Enter(w.org, engine, text, "somebody@example.org", c.use)
			fails(t, "enter", err, nil)
			if got.Via != c.via || got.Email != c.email || got.Reason != c.reason || got.Denied != c.denied {
				t.Errorf("via %q as %q, reason %q denied %q; want %q %q %q %q", got.Via, got.Email, got.Reason, got.Denied, c.via, c.email, c.reason, c.denied)
			}
			waiting := w.model.Reporting().Waiting
			if used := got.Via == domain.ViaPersonal; used != (waiting == 1) && name != "a limit that is used up" {
				t.Errorf("%d tokens are counted", waiting)
			}
		})
	}
}

// TestEnterIsUse: who asks for nothing uses the permission to come in, however their
// token is limited to the engine, and who asks for one uses that alone.
func TestEnterIsUse(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		engine := w.engine("prod", verifying(personal))
		usage := jetStreamUsage(t)
		v, r := viewsOf(w, url), w.model.reporter(usage, "here")
		h, _ := follows(t, v, w.model, usage)
		used := map[domain.TokenID][]string{}
		for name, asked := range map[string]string{"comes in": "", "checks": "tokens.check", "may not": "members.add"} {
			c, secret := issuing(domain.Personal, name)
			c.Terms.Grant = domain.Grant{Access: domain.ByList, Permissions: []string{"engines.use"}, Resources: []domain.Resource{"engine:prod"}}
			want := []string{"engines.use"}
			if asked != "" {
				c.Terms.Grant, want = domain.Grant{Access: domain.ReadOnly}, []string{asked}
			}
			w.do(w.owner.actor, c)
			came, err := w.model.Enter(w.org, engine, secret.Reveal(), "", Use{Permission: asked})
			fails(t, name, err, nil)
			if came.Via == domain.ViaPersonal {
				used[c.Token] = want
			}
		}
		same(t, "tokens that came in", len(used), 2)
		_, err := w.model.Enter(w.org, engine, "verification-token", "", Use{})
		fails(t, "with the verification token", err, nil)
		same(t, "tokens to tell of", w.model.Reporting().Waiting, 2)
		flush(t, r)
		h.until(t, 1)
		for id, want := range used {
			sameText(t, w.usage(v, id).Permissions, want)
		}
	})
}

func shows(text string) func(*world, somebody, domain.Secret) string {
	return func(*world, somebody, domain.Secret) string { return text }
}

// TestEnterWhereNothingIs: an engine that there is not, and a model that does not serve.
func TestEnterWhereNothingIs(t *testing.T) {
	w := newWorld(t)
	neighbour, theirs := w.create("other", "other@example.org")
	engine := w.engine("prod", personal)
	_, err := w.model.Enter(w.org, engine+1, w.owner.secret.Reveal(), "", Use{})
	fails(t, "an unknown engine", err, domain.ErrNotFound)
	_, err = w.model.Enter(neighbour, engine, theirs.secret.Reveal(), "", Use{})
	fails(t, "the neighbour's engine", err, domain.ErrNotFound)
	_, err = w.model.Enter(newOrganizationID(), engine, "", "", Use{})
	fails(t, "an unknown organization", err, domain.ErrNotFound)
	w.do(w.owner.actor, domain.DeleteEngine{Engine: engine})
	_, err = w.model.Enter(w.org, engine, w.owner.secret.Reveal(), "", Use{})
	fails(t, "a deleted engine", err, domain.ErrNotFound)
	w.in(neighbour, theirs.actor, domain.DeleteOrganization{Alias: "other"})
	_, err = w.model.Enter(neighbour, engine, theirs.secret.Reveal(), "", Use{})
	fails(t, "a deleted organization", err, domain.ErrNotFound)
	loading := NewModel(w.store, vault, w.now)
	_, err = loading.Enter(w.org, engine, w.owner.secret.Reveal(), "", Use{})
	fails(t, "a model that is still reading", err, ErrLoading)
}
