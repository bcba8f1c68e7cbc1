package projections

import (
	"testing"
	"time"

	"jeton/domain"
)

const hour domain.Seconds = 3600

func TestRotatedRows(t *testing.T) {
	w := newWorld(t)
	id, first := w.issue(w.owner.actor, domain.Administrative, "robot", func(c *domain.IssueToken) { c.Expires = domain.At(noon.Add(30 * 24 * time.Hour)) })
	issued := w.last()
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		if r.Made != r.Issued || r.Rotated != 0 || r.PreviousUntil != 0 || r.Reused != 0 {
			t.Errorf("issued: %+v", r)
		}
	})

	w.pass(time.Minute)
	once := domain.At(w.now())
	second := w.rotate(w.owner.actor, id, hour)
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		if r.Made != once || r.Rotated != once || r.PreviousUntil != once.Add(time.Hour) || r.Number != issued || r.Changed != w.last() ||
			r.Issued != domain.At(noon) || r.Expires != once.Add(30*24*time.Hour) {
			t.Errorf("rotated: %+v", r)
		}
	})

	w.pass(time.Minute)
	w.rotate(w.owner.actor, id, hour)
	w.pass(time.Minute)
	burned := domain.At(w.now())
	bearer := domain.Actor{Kind: domain.ActorBearer, Token: id}
	w.do(bearer, domain.BurnToken{Token: id, Hash: second.Hash(), Reason: "found"})
	changed := w.last()
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		if r.PreviousUntil != burned || r.Revoked != 0 || r.Changed != changed {
			t.Errorf("the secret before was found: %+v", r)
		}
	})

	w.pass(time.Minute)
	reused := domain.At(w.now())
	w.do(system, domain.ReportReuse{Token: id, Hash: first.Hash()})
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		if r.Reused != reused || r.PreviousUntil != burned || r.Changed != changed {
			t.Errorf("the first secret was used: %+v", r)
		}
	})
	agrees(t, w)
}
