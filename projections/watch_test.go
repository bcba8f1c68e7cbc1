package projections

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
)

// watched lets nodes watch until the test ends.
func (w *world) watched(nodes ...*Model) {
	for _, m := range nodes {
		background(w, func(ctx context.Context) error { return m.Watch(ctx, time.Millisecond, zerolog.Nop()) })
	}
}

// happened is every event in the log, in its order.
func (w *world) happened() (all []domain.Event) {
	w.Helper()
	v := viewsOf(w, sqliteURL(w))
	for after := domain.Position(0); ; {
		page, err := v.Commits(w.Context(), w.org, after, highestLimit)
		fails(w, "log", err, nil)
		if len(page) == 0 {
			return all
		}
		for _, c := range page {
			all = append(all, c.Events...)
		}
		after = page[len(page)-1].Position
	}
}

func ofKind[E domain.Event](all []domain.Event) (found []E) {
	for _, e := range all {
		if e, is := e.(E); is {
			found = append(found, e)
		}
	}
	return found
}

// until waits for a condition. The condition changes with what is in the model.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	for {
		at := w.model.Position()
		if is() {
			return
		}
		if err := w.model.Wait(ctx, at+1); err != nil {
			w.Fatalf("%s does not come: %v", what, err)
		}
	}
}

// TestWarnings: they come once each, whichever node watches, and again for a new end.
func TestWarnings(t *testing.T) {
	w := newWorld(t)
	id, _ := w.issue(w.owner.actor, domain.Administrative, "robot", func(c *domain.IssueToken) { c.Expires = domain.At(noon.Add(40 * 24 * time.Hour)) })
	other := w.other()
	days := func() (days []int) {
		for _, e := range ofKind[domain.TokenExpiring](w.happened()) {
			if e.Token == id {
				days = append(days, e.Days)
			}
		}
		return days
	}
	rounds := func() {
		for range 2 {
			atOnce(2, func(i int) error { []*Model{w.model, other}[i].round(t.Context(), zerolog.Nop()); return nil })
		}
	}
	for _, step := range []struct {
		days int // that pass
		want []int
	}{{5, nil}, {6, []int{30}}, {16, []int{30, 14}}, {8, []int{30, 14, 7}}, {2, []int{30, 14, 7, 3}}, {2, []int{30, 14, 7, 3, 1}}, {5, []int{30, 14, 7, 3, 1}}} {
		w.pass(time.Duration(step.days) * 24 * time.Hour)
		rounds()
		same(t, "warnings", days(), step.want)
	}
}

// TestReuseIsRecordedOnce, whoever shows the old secret, wherever, however often.
func TestReuseIsRecordedOnce(t *testing.T) {
	w := newWorld(t)
	other := w.other()
	w.watched(w.model, other)
	id, old := w.issue(w.owner.actor, domain.Administrative, "robot")
	secret := w.rotate(w.owner.actor, id, 0)
	fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	reports := func() int { return len(ofKind[domain.TokenReused](w.happened())) }
	shown := func() {
		atOnce(20, func(i int) error {
			m := []*Model{w.model, other}[i%2]
			found, err := m.Check(old.Reveal(), Use{})
			if err != nil || found.Reason != domain.ReasonReplaced {
				t.Errorf("the old secret: %q (%v)", found.Reason, err)
			}
			return nil
		})
	}
	shown()
	w.until("the report", func() bool { return reports() > 0 })
	shown()
	settled(w, other)
	if n := reports(); n != 1 {
		t.Errorf("%d reports, want 1", n)
	}
	w.pass(24*time.Hour + time.Millisecond)
	shown()
	w.until("the next day's report", func() bool { return reports() == 2 })
	if !w.check(w.model, secret).Active() {
		t.Error("the token is not good any more")
	}

	w.demand(func(p *domain.Policy) { p.Reuse = domain.ReuseRevokes })
	w.pass(24*time.Hour + time.Millisecond)
	fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	_, _ = w.model.Check(old.Reveal(), Use{})
	w.until("the end of the token", func() bool { return w.check(w.model, secret).Reason == domain.ReasonRevoked })
}

// settled waits until no node has a suspect left to look at.
func settled(w *world, others ...*Model) {
	for _, m := range append(others, w.model) {
		for len(m.suspects) > 0 {
		}
		_ = m.tenant(w.org).enter(w.Context()) // whoever decides now has decided
		m.tenant(w.org).leave()
	}
}

// TestWatchEndsWhatNobodyApproves and takes out whose account was deleted, once.
func TestWatchEndsWhatNobodyApproves(t *testing.T) {
	w := newWorld(t)
	other := w.other()
	bob := w.join("bob@example.org", domain.Owner)
	w.demand(func(p *domain.Policy) {
		p.Approval = domain.Approval{Kinds: []domain.TokenKind{domain.Administrative}, Lapse: hour}
	})
	id, secret := w.issue(w.owner.actor, domain.Administrative, "robot")
	w.watched(w.model, other)
	if found := w.check(w.model, secret); found.Reason != domain.ReasonWaiting {
		t.Errorf("it waits: %q", found.Reason)
	}
	w.pass(time.Hour)
	w.until("the lapse", func() bool { token, _ := w.model.Token(w.org, id); return token.Revoked })
	w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: bob.id})
	w.until("the removal", func() bool { _, member := w.model.Member(w.org, bob.id); return !member })
	w.do(w.owner.actor, domain.UpdateOrganization{Name: "Something else"}) // the watch goes on
	happened := w.happened()
	if n := len(ofKind[domain.ApprovalLapsed](happened)); n != 1 {
		t.Errorf("%d lapsed, want 1", n)
	}
	if left := ofKind[domain.MemberRemoved](happened); len(left) != 1 || left[0].Account != bob.id || left[0].Reason == "" {
		t.Errorf("removed: %+v, want bob, once", left)
	}
	if revoked := ofKind[domain.TokenRevoked](happened); len(revoked) != 1 || revoked[0].Token != bob.first {
		t.Errorf("revoked: %+v, want bob's token", revoked)
	}
}

// TestWatchOfNothing: organizations that were deleted are left alone, without a word.
func TestWatchOfNothing(t *testing.T) {
	w := newWorld(t)
	other, theirs := w.create("other", "other@example.org")
	w.in(other, theirs.actor, domain.DeleteOrganization{Alias: "other"})
	w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: theirs.id})
	w.pass(360 * 24 * time.Hour) // its tokens would end soon
	last := w.last()
	var said testWriter
	w.model.round(t.Context(), zerolog.New(&said))
	if len(said) > 0 || len(ofKind[domain.TokenExpiring](w.happened())) != 1 || w.last() != last+1 {
		t.Errorf("said %q, and wrote %d commits, want the one warning of the other organization", said, w.last()-last)
	}
}

type testWriter []byte

func (w *testWriter) Write(b []byte) (int, error) { *w = append(*w, b...); return len(b), nil }

// TestNeverTooManyTokens: of fifty that are asked for at once, on two nodes, the
// policy's five are made.
func TestNeverTooManyTokens(t *testing.T) {
	w := newWorld(t)
	nodes := []*Model{w.model, w.other()}
	errs := atOnce(50, func(i int) error {
		c, _ := issuing(domain.Personal, domain.RandomID().String())
		_, err := nodes[i%2].Execute(t.Context(), w.meta(w.owner.actor), c)
		return err
	})
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		fails(t, "one too many", err, domain.ErrState)
	}
	if made != 4 { // there is the first one
		t.Errorf("%d were made, want 4", made)
	}
	w.sameState(nodes...)
	agrees(t, w)
}
