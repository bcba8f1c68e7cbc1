package projections

import (
	"fmt"
	"testing"
	"time"

	"jeton/domain"
)

// TestRevokedByFilterRows: one event ends many tokens, and the views know which by
// the same conditions as the model. Some were rotated, before and after the moment
// that is named, some have expired, one waits, one is that of whoever asks.
func TestRevokedByFilterRows(t *testing.T) {
	hours := func(n int) domain.Instant { return domain.At(noon.Add(time.Duration(n) * time.Hour)) }
	for what, c := range map[string]struct {
		command domain.RevokeTokens
		count   int
	}{
		"before anything":     {domain.RevokeTokens{Before: hours(0)}, 0},
		"before a moment":     {domain.RevokeTokens{Before: hours(2)}, 2},
		"before another":      {domain.RevokeTokens{Before: hours(5)}, 10},
		"until now":           {domain.RevokeTokens{Before: hours(10)}, 11},
		"a kind":              {domain.RevokeTokens{Kind: domain.Administrative}, 5},
		"a kind, before":      {domain.RevokeTokens{Kind: domain.Administrative, Before: hours(3)}, 2},
		"a holder":            {domain.RevokeTokens{}, 5},
		"a holder, before":    {domain.RevokeTokens{Before: hours(3)}, 3},
		"a kind, of another":  {domain.RevokeTokens{Kind: domain.Personal, Before: hours(2)}, 1},
		"a holder and a kind": {domain.RevokeTokens{Kind: domain.Service}, 5},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			runner := w.program("runner", fullAccess)
			w.demand(func(p *domain.Policy) { p.Approval.Grants = []string{"full-access"} })
			bob := w.join("bob@example.org", domain.Admin)
			w.do(w.owner.actor, domain.RevokeToken{Token: bob.first, Reason: "the first reason stays"})
			var all []domain.TokenID
			issue := func(kind domain.TokenKind) {
				id, _ := w.issue(w.owner.actor, kind, fmt.Sprint("token ", len(all)), func(c *domain.IssueToken) {
					c.Terms.Grant.Access = domain.ReadOnly
					if len(all) == 3 {
						c.Terms.Grant.Access = domain.FullAccess // waits
					}
					if len(all) == 5 {
						c.Expires = domain.At(w.now().Add(time.Minute))
					}
					if kind == domain.Service {
						c.Holder = runner
					}
				})
				all = append(all, id)
			}
			for hour := range 5 {
				issue(domain.Administrative)
				issue(domain.Service)
				if hour == 1 {
					w.join("eve@example.org", domain.Ordinary)
				}
				if hour == 2 {
					w.rotate(w.owner.actor, all[0], 7*24*3600) // its overlap is still on
					w.rotate(w.owner.actor, all[1], 60)        // its overlap is over
				}
				w.pass(time.Hour)
			}
			w.rotate(w.owner.actor, all[2], 7*24*3600)
			w.pass(5 * time.Hour)
			c.command.Reason = "cleaning up"
			if what == "a holder" || what == "a holder, before" || what == "a holder and a kind" {
				c.command.Holder = runner
			}
			o := w.do(w.owner.actor, c.command)
			if c.count != 0 {
				if e := o.Events[0].(domain.TokensRevoked); e.Count != c.count {
					t.Errorf("%d tokens, want %d", e.Count, c.count)
				}
			}
			everywhere(t, func(t *testing.T, url string) {
				here := w.here(t)
				v := viewsOf(here, url)
				agree(here, v, w.org)
				if r := here.row(v, all[1]); r.Revoked != 0 && (r.Ended != ByRevocation || r.Reason != "cleaning up" || r.RevokedBy.Account != w.owner.id || r.Revoked != domain.At(w.now())) {
					t.Errorf("%+v", r)
				}
				if r := here.row(v, bob.first); r.Reason != "the first reason stays" {
					t.Errorf("what was revoked before: %+v", r)
				}
			})
		})
	}
}

// TestRevokedByAnotherCount: an event that does not end here what it ended in the
// model stops the views.
func TestRevokedByAnotherCount(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v := openViews(t, url)
		w.entry(encoded(t, w.org, domain.TokensRevoked{Type: domain.Personal, Count: 2}), 0)
		if err := stops(t, v, w.store, storeID); err == nil || v.following.at >= w.last() {
			t.Fatalf("at %d: %v", v.following.at, err)
		}
	})
}

func TestBurnedRows(t *testing.T) {
	w := newWorld(t)
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
	w.do(domain.Actor{Kind: domain.ActorBearer, Token: id}, domain.BurnToken{Token: id, Hash: secret.Hash(), Reason: "on a web page"})
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		by := Author{Actor: domain.Actor{Kind: domain.ActorBearer, Token: id}}
		if r.Ended != ByBurn || r.Reason != "on a web page" || r.RevokedBy != by || r.Status(domain.At(w.now())) != Revoked || r.Changed != w.last() {
			t.Errorf("%+v", r)
		}
	})
	agrees(t, w)
}
