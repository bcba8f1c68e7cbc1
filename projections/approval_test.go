package projections

import (
	"testing"
	"time"

	"jeton/domain"
)

func TestWaitingRows(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Admin)
	w.demand(func(p *domain.Policy) {
		p.Approval = domain.Approval{Kinds: []domain.TokenKind{domain.Administrative}, Lapse: hour}
	})
	waits, _ := w.issue(w.owner.actor, domain.Administrative, "waits")
	until := domain.At(w.now().Add(time.Hour))
	given, _ := w.issue(w.owner.actor, domain.Administrative, "given")
	refused, _ := w.issue(w.owner.actor, domain.Administrative, "refused")
	expires, _ := w.issue(w.owner.actor, domain.Administrative, "expires", func(c *domain.IssueToken) { c.Expires = domain.At(w.now().Add(time.Minute)) })
	w.do(bob.actor, domain.ApproveToken{Token: given, Reason: "good"})
	w.do(bob.actor, domain.RefuseToken{Token: refused, Reason: "not that"})
	w.pass(2 * time.Minute)
	now := domain.At(w.now())
	owner := Author{w.owner.actor, 1, "owner@example.org", ""}
	want := map[domain.TokenID]func(TokenRow) bool{
		waits:   func(r TokenRow) bool { return r.Waiting == until && r.RequestedBy == owner && r.Status(now) == Waiting },
		given:   func(r TokenRow) bool { return r.Waiting == 0 && r.RequestedBy == owner && r.Status(now) == Active },
		expires: func(r TokenRow) bool { return r.Waiting != 0 && r.Status(now) == Expired },
		refused: func(r TokenRow) bool {
			return r.Waiting == 0 && r.Status(now) == Revoked && r.Ended == ByRefusal && r.Reason == "not that" && r.RevokedBy.Email == "bob@example.org"
		},
	}
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		v := viewsOf(here, url)
		for id, is := range want {
			if r := here.row(v, id); !is(r) {
				t.Errorf("%s: %+v", r.Name, r)
			}
		}
		for status, name := range map[Status]string{Waiting: "waits", Active: "given", Expired: "expires", Revoked: "refused"} {
			found, err := v.Tokens(t.Context(), TokenFilter{Organization: w.org, Kind: domain.Administrative, Status: status, Now: now})
			if err != nil || len(found) != 1 || found[0].Name != name || found[0].Status(now) != status {
				t.Errorf("%s: %+v (%v)", status, found, err)
			}
		}
		agree(here, v, w.org)
	})

	w.pass(time.Hour)
	w.do(system, domain.Lapse{})
	rowOf(t, w, waits, func(t *testing.T, r TokenRow) {
		if r.Waiting != 0 || r.Ended != ByLapse || r.Reason != "" || r.RevokedBy != (Author{Actor: system}) || r.Revoked != domain.At(w.now()) {
			t.Errorf("lapsed: %+v", r)
		}
	})
	agrees(t, w)
}
