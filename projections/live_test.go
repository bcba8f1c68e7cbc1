package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// collector is an engine that keeps a copy of what it is told.
type collector struct {
	*world
	model  *Model
	engine domain.Position
	beat   chan time.Time
	gate   chan struct{} // if not nil, what is told waits until it is closed

	mu      sync.Mutex // guards what follows
	copy    *domain.Copy
	making  *domain.Copy // behind a reset, until its first mark
	used    map[domain.TokenID]domain.Instant
	at      domain.Position
	told    []Told
	wrong   error
	changed chan struct{} // closed when something is told
}

// copying is an engine of the first organization that has nothing yet.
func copying(w *world, m *Model, engine domain.Position) *collector {
	return &collector{
		world: w, model: m, engine: engine, beat: make(chan time.Time), copy: domain.NewCopy(),
		used: map[domain.TokenID]domain.Instant{}, changed: make(chan struct{}),
	}
}

// follow listens until the test ends, or end is called, from where the copy is.
func (c *collector) follow() (end func() error) {
	at := c.position()
	return background(c, func(ctx context.Context) error {
		return c.model.Live(ctx, c.org, c.engine, at, c.beat, func(told Told) error {
			if c.gate != nil {
				select {
				case <-c.gate:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return c.take(told)
		})
	})
}

// take takes what is told as an engine does, and fails where it would begin anew.
func (c *collector) take(told Told) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = c.takes(told)
	c.told = append(c.told, told)
	close(c.changed)
	c.changed = make(chan struct{})
	return c.wrong
}

func (c *collector) takes(told Told) error {
	if told.Reset {
		c.making, c.at = domain.NewCopy(), 0
	}
	into := c.copy
	if c.making != nil {
		into = c.making
	}
	for _, p := range told.Pieces {
		if err := into.Take(p); err != nil {
			return err
		}
		if p.Token != nil {
			c.used[p.Token.ID] = p.Token.Used
		}
	}
	if !told.Marked {
		return nil
	}
	if told.From != c.at || told.To < told.From {
		return fmt.Errorf("told from %d to %d, and the copy is at %d", told.From, told.To, c.at)
	}
	c.at, c.copy, c.making = told.To, into, nil
	return nil
}

func (c *collector) position() domain.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// resets is how often the copy was begun anew.
func (c *collector) resets() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, told := range c.told {
		if told.Reset {
			n++
		}
	}
	return n
}

// until waits until the collector, which is locked, is as it should be.
func (c *collector) until(what string, is func() bool) {
	c.Helper()
	patience := time.After(time.Minute)
	for {
		c.mu.Lock()
		done, wrong, changed := is(), c.wrong, c.changed
		c.mu.Unlock()
		if wrong != nil {
			c.Fatalf("%s: %v", what, wrong)
		}
		if done {
			return
		}
		select {
		case <-changed:
		case <-patience:
			c.Fatalf("%s does not come", what)
		}
	}
}

// caughtUp waits until the copy has the organization's last commit.
func (c *collector) caughtUp() {
	c.Helper()
	fails(c, "wait", c.model.Wait(c.Context(), c.last()), nil)
	t := c.model.tenant(c.org)
	t.mu.RLock()
	last := t.last
	t.mu.RUnlock()
	c.until(fmt.Sprint("position ", last), func() bool { return c.at == last && c.making == nil })
}

// beats lets the beat be felt and waits for the mark that follows.
func (c *collector) beats() {
	c.Helper()
	c.mu.Lock()
	before := len(c.told)
	c.mu.Unlock()
	select {
	case c.beat <- time.Time{}:
	case <-time.After(time.Minute):
		c.Fatal("nobody feels the beat")
	}
	c.until("a mark", func() bool { return len(c.told) > before })
}

// answer is what a door answers, as far as a copy knows it.
type answer struct {
	via     domain.Via
	email   string
	token   domain.TokenID
	granted domain.Permissions
	reason  domain.Reason
	denied  domain.Reason
	limits  [2]domain.Limit
}

// refused is the answer to those who do not come in and of whom nothing is known.
func (a answer) refused() answer {
	if a.via != domain.ViaNothing {
		return a
	}
	return answer{}
}

// answers is what the copy answers, and whether it knows the token.
func (c *collector) answers(text, forwarded string, use Use) (a answer, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var e domain.Entrance
	if c.copy.Door.Verify(&e, text, forwarded) {
		return answer{via: e.Via, email: e.Email, reason: e.Verdict.Reason}, true
	}
	shown, ok := domain.ParseSecret(text)
	place, known := c.copy.Tokens.Place(shown.Token)
	if !ok || !known {
		return a, false
	}
	ask := domain.Ask{
		Now: domain.At(c.now()), Address: use.Address, Permission: use.Permission, Resource: use.Resource, Used: c.used[shown.Token],
	}
	c.copy.Door.Enter(&c.copy.Organization, &e, place, shown, &ask)
	a = answer{e.Via, "", e.Verdict.ID, e.Verdict.Granted, e.Verdict.Reason, e.Verdict.Denied, [2]domain.Limit{e.Verdict.TokenLimit, e.Verdict.HolderLimit}}
	if e.Via == domain.ViaPersonal {
		a.email = c.copy.Holder(&e.Verdict).Email
	}
	return a, true
}

// enters is what the model answers. It counts nothing: a copy that asks is not told so
// at once.
func (c *collector) enters(text, forwarded string, use Use) (a answer) {
	c.Helper()
	e := Entered{}
	e.At = domain.At(c.now())
	err := c.model.tenant(c.org).door(&e, c.engine, text, forwarded, &use)
	if errors.Is(err, domain.ErrNotFound) {
		return answer{reason: domain.ReasonDoor}
	}
	fails(c, "enter", err, nil)
	return answer{e.Via, e.Email, e.ID, e.Granted, e.Reason, e.Denied, [2]domain.Limit{e.TokenLimit, e.HolderLimit}}
}

// ways are those in which somebody may want to come in.
var ways = []Use{
	{},
	{Permission: "engines.use", Resource: "engine:prod"},
	{Permission: "tokens.check", Address: addr("10.1.2.3")},
	{Permission: "clones.do1", Resource: "branch:main", Address: addr("192.0.2.9")},
	{Permission: "engines.read", Resource: "engine:other"},
	{Address: addr("2001:db8::7")},
}

// agrees wants the copy to answer what the model answers, to whoever may come.
func (c *collector) agrees(shown []string) (allowed int) {
	c.Helper()
	c.caughtUp()
	for _, text := range append([]string{"", "nonsense"}, shown...) {
		for _, use := range ways {
			got, known := c.answers(text, "somebody@example.org", use)
			want := c.enters(text, "somebody@example.org", use)
			if !known || want.reason == domain.ReasonDeleted { // suspended, in the copy
				got, want = got.refused(), want.refused()
			}
			if got != want {
				c.Fatalf("%.20s with %+v at %v:\n the copy answers %+v\n the model       %+v", text, use, c.now(), got, want)
			}
			if got.via != domain.ViaNothing {
				allowed++
			}
		}
	}
	return allowed
}

// logs runs a test with each kind of log.
func logs(t *testing.T, test func(t *testing.T, empty func(testing.TB) eventstore.Store)) {
	t.Run("memory", func(t *testing.T) {
		test(t, func(testing.TB) eventstore.Store { return new(eventstore.Memory) })
	})
	t.Run("JetStream", func(t *testing.T) {
		test(t, func(t testing.TB) eventstore.Store { return jetStream(t) })
	})
}

// TestCopySaysWhatTheModelSays, whatever happens while it follows: two engines, one
// at each node, of which one comes and goes.
func TestCopySaysWhatTheModelSays(t *testing.T) {
	const rounds, events = 12, 40
	logs(t, func(t *testing.T, empty func(testing.TB) eventstore.Store) {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				l := lifeOn(t, empty(t), seed)
				engine := l.ownEngine()
				other := l.other()
				stays, moves := copying(l.world, l.model, engine), copying(l.world, other, engine)
				stays.follow()
				leave := moves.follow()
				allowed := 0
				for range rounds {
					l.live(events)
					l.setsOwnDoor(engine)
					l.wants()
					allowed += stays.agrees(l.shown)
					moves.agrees(l.shown)
					if l.maybe() { // it misses something, and hears of it from another node
						fails(t, "leave", leave(), context.Canceled)
						moves.model = []*Model{l.model, other}[l.IntN(2)]
						l.live(events)
						fails(t, "wait", other.Wait(t.Context(), l.last()), nil)
						leave = moves.follow()
						moves.agrees(l.shown)
					}
					whole := copying(l.world, l.model, engine)
					end := whole.follow()
					whole.agrees(l.shown)
					fails(t, "end", end(), context.Canceled)
				}
				if allowed < 20 { // or nothing was compared
					t.Errorf("only %d came in", allowed)
				}
			})
		}
	})
}

// ownEngine is the engine that copies are for: it stays, and mostly takes personal tokens.
func (l *life) ownEngine() domain.Position {
	c, _ := registering("prod", domain.Door{PersonalTokens: true, Verification: l.verification()})
	return l.do(l.owner.actor, c).Position
}

// setsOwnDoor sets the engine's door again, as it may have been changed.
func (l *life) setsOwnDoor(engine domain.Position) {
	if l.IntN(3) > 0 {
		door, disabled := domain.Door{PersonalTokens: l.IntN(4) > 0, Verification: l.verification()}, l.IntN(6) == 0
		l.ask(l.owner.actor, domain.UpdateEngine{Engine: engine, Door: &door, Disabled: &disabled})
	}
}

// wants changes what the policy demands of those who come in.
func (l *life) wants() {
	l.demand(func(p *domain.Policy) {
		p.BoundOnly, p.Networks = l.IntN(3) == 0, nil
		if l.IntN(3) == 0 {
			p.Networks = []domain.Network{prefix("192.0.2.0/24"), prefix("10.0.0.0/8")}
		}
		p.TokenLimit, p.HolderLimit = l.limit(), l.limit()
		p.Off = false
	})
	if l.IntN(6) == 0 {
		l.demand(func(p *domain.Policy) { p.Off = true })
		l.demand(func(p *domain.Policy) { p.Off = false })
	}
}

// lab is a world with an engine that takes personal tokens.
type lab struct {
	*world
	bob    somebody
	engine domain.Position
}

func newLab(t testing.TB, door domain.Door) *lab {
	w := &lab{world: newWorld(t)}
	w.bob = w.join("bob@example.org", domain.Ordinary)
	w.engine = w.world.engine("prod", door)
	return w
}

// copied is a copy that follows until the test ends.
func (w *lab) copied() *collector {
	c := copying(w.world, w.model, w.engine)
	c.follow()
	c.caughtUp()
	return c
}

// comes wants bob to come in, or not.
func (c *collector) comes(what string, s domain.Secret, want bool) {
	c.Helper()
	got, _ := c.answers(s.Reveal(), "", Use{})
	same(c, what+": comes in", got.via != domain.ViaNothing, want)
	if m := c.enters(s.Reveal(), "", Use{}); m.via != got.via {
		c.Errorf("%s: via %q, and in the model %q", what, got.via, m.via)
	}
}

// TestWhatReachesTheCopy: what ends at the platform ends at the engine.
func TestWhatReachesTheCopy(t *testing.T) {
	yes := true
	for what, do := range map[string]func(w *lab){
		"the token is revoked":    func(w *lab) { w.do(w.owner.actor, domain.RevokeToken{Token: w.bob.first}) },
		"all tokens are":          func(w *lab) { w.do(w.owner.actor, domain.RevokeTokens{Holder: w.bob.id, Reason: "lost"}) },
		"it is rotated":           func(w *lab) { w.rotate(w.bob.actor, w.bob.first, 0) },
		"they are suspended":      func(w *lab) { w.do(w.owner.actor, domain.UpdateMember{Account: w.bob.id, Suspended: &yes}) },
		"they are removed":        func(w *lab) { w.do(w.owner.actor, domain.RemoveMember{Account: w.bob.id}) },
		"tokens are switched off": func(w *lab) { w.demand(func(p *domain.Policy) { p.Off = true }) },
		"the engine is disabled":  func(w *lab) { w.do(w.owner.actor, domain.UpdateEngine{Engine: w.engine, Disabled: &yes}) },
		"the engine is deleted":   func(w *lab) { w.do(w.owner.actor, domain.DeleteEngine{Engine: w.engine}) },
		"personal tokens are not taken any more": func(w *lab) {
			w.do(w.owner.actor, domain.UpdateEngine{Engine: w.engine, Door: &domain.Door{}})
		},
		"the organization is deleted": func(w *lab) { w.do(w.owner.actor, domain.DeleteOrganization{Alias: "acme"}) },
		"their account is deleted": func(w *lab) {
			w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: w.bob.id})
		},
		"they are deleted and erased": func(w *lab) {
			w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: w.bob.id})
			w.above(w.owner.actor, domain.OrganizationID{}, domain.EraseAccount{Account: w.bob.id})
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newLab(t, personal)
			if what == "the organization is deleted" {
				w.above(w.owner.actor, domain.OrganizationID{}, domain.NameOperator{Email: "bob@example.org"})
			}
			other := copying(w.world, w.other(), w.engine)
			other.follow()
			other.caughtUp()
			late := copying(w.world, w.model, w.engine)
			end := late.follow()
			late.caughtUp()
			fails(t, "end", end(), context.Canceled)
			here := w.copied()
			for _, c := range []*collector{here, other, late} {
				c.comes("before", w.bob.secret, true)
			}

			do(w)
			late.follow() // from where it was
			whole := w.copied()
			for name, c := range map[string]*collector{"here": here, "on the other node": other, "late": late, "whole": whole} {
				c.caughtUp()
				var got answer
				c.until(what, func() bool {
					c.mu.Unlock()
					defer c.mu.Lock()
					got, _ = c.answers(w.bob.secret.Reveal(), "", Use{})
					return got.via == domain.ViaNothing
				})
				c.comes(name, w.bob.secret, false)
				if name == "here" || name == "on the other node" {
					same(t, name+": begun anew", c.resets(), 1)
				}
			}
		})
	}
}

// TestOldSecretsOfWhoWasAway: what ends an old secret does not always change its token.
func TestOldSecretsOfWhoWasAway(t *testing.T) {
	w := newLab(t, personal)
	w.pass(time.Hour)
	old, before := w.bob.secret, domain.At(w.now())
	w.pass(time.Hour)
	fresh := w.rotate(w.bob.actor, w.bob.first, 24*60*60)
	away, stays := copying(w.world, w.model, w.engine), w.copied()
	end := away.follow()
	away.caughtUp()
	fails(t, "end", end(), context.Canceled)
	away.comes("in the overlap", old, true)
	w.do(w.owner.actor, domain.RevokeTokens{Kind: domain.Personal, Before: before, Reason: "leaked"})
	away.follow()
	for _, c := range []*collector{away, stays} {
		c.caughtUp()
		c.comes("the old secret", old, false)
		c.comes("the new one", fresh, true)
	}
}

// TestEngineTakesTokensWhileItFollows: it had none before, and hears of all of them then.
func TestEngineTakesTokensWhileItFollows(t *testing.T) {
	w := newLab(t, verifying(domain.Door{}))
	c := w.copied()
	_, laptop := w.issue(w.bob.actor, domain.Personal, "laptop")
	c.caughtUp()
	c.comes("before", w.bob.secret, false)
	for _, told := range c.told {
		for _, p := range told.Pieces {
			if p.Holder != nil || p.Token != nil || p.Terms != nil {
				t.Errorf("told of tokens that the engine does not take: %+v", p)
			}
		}
	}
	for i := range 3 {
		door := verifying(personal)
		w.do(w.owner.actor, domain.UpdateEngine{Engine: w.engine, Door: &door})
		c.caughtUp()
		c.comes("taken", w.bob.secret, true)
		c.comes("issued while none was taken", laptop, true)
		same(t, "begun anew", c.resets(), 2+i)
		door = verifying(domain.Door{})
		w.do(w.owner.actor, domain.UpdateEngine{Engine: w.engine, Door: &door})
		_, laptop = w.issue(w.bob.actor, domain.Personal, fmt.Sprint("laptop ", i))
		c.caughtUp()
		c.comes("not any more", w.bob.secret, false)
	}
}

// TestEngineTakesTokensWhileItIsAway: it comes back with a copy that has none.
func TestEngineTakesTokensWhileItIsAway(t *testing.T) {
	w := newLab(t, verifying(domain.Door{}))
	c := copying(w.world, w.model, w.engine)
	end := c.follow()
	c.caughtUp()
	fails(t, "end", end(), context.Canceled)
	w.do(w.owner.actor, domain.UpdateEngine{Engine: w.engine, Door: &personal})
	w.rotate(w.owner.actor, w.owner.first, 0)
	end = c.follow()
	c.caughtUp()
	c.comes("a token from before", w.bob.secret, true)
	fails(t, "end", end(), context.Canceled)

	w.issue(w.bob.actor, domain.Personal, "laptop")
	c.follow()
	c.caughtUp()
	c.comes("when it comes back again", w.bob.secret, true)
	same(t, "begun anew when it had to", c.resets(), 2)
}

// TestFarBehind: more has changed than is remembered, while the engine was slow.
func TestFarBehind(t *testing.T) {
	w := newLab(t, personal)
	_, limited := w.issue(w.bob.actor, domain.Personal, "limited", func(c *domain.IssueToken) { c.Terms.Networks = []domain.Network{prefix("10.0.0.0/8")} })
	c := w.copied()
	c.gate = make(chan struct{})
	w.pass(time.Minute)
	suspended := false
	var fresh domain.Secret
	for i := range manyChanges + 100 {
		suspended = !suspended
		w.do(w.owner.actor, domain.UpdateMember{Account: w.bob.id, Suspended: &suspended})
		if i == manyChanges/2 {
			eve := w.join("eve@example.org", domain.Ordinary)
			w.do(w.owner.actor, domain.RevokeToken{Token: w.bob.first})
			fresh = eve.secret
		}
	}
	tenant := w.model.tenant(w.org)
	tenant.mu.RLock()
	remembered := len(tenant.feed.changes)
	tenant.mu.RUnlock()
	same(t, "changes that are remembered", remembered, manyChanges)
	close(c.gate)
	c.caughtUp()
	c.comes("revoked", w.bob.secret, false)
	c.comes("new", fresh, true)
	same(t, "begun anew", c.resets(), 1)
	for _, text := range []string{w.bob.secret.Reveal(), limited.Reveal(), fresh.Reveal(), w.owner.secret.Reveal()} {
		c.agrees([]string{text})
	}
}

// TestNothingIsRememberedForNobody: who does not follow costs nothing.
func TestNothingIsRememberedForNobody(t *testing.T) {
	w := newLab(t, personal)
	feed := func() (followers, changes int) {
		t := w.model.tenant(w.org)
		t.mu.RLock()
		defer t.mu.RUnlock()
		return t.feed.followers, len(t.feed.changes)
	}
	followers, changes := feed()
	same(t, "before", []int{followers, changes}, []int{0, 0})
	first, second := copying(w.world, w.model, w.engine), copying(w.world, w.model, w.engine)
	endFirst, endSecond := first.follow(), second.follow()
	first.caughtUp()
	second.caughtUp()
	w.issue(w.bob.actor, domain.Personal, "laptop")
	first.caughtUp()
	second.caughtUp()
	followers, changes = feed()
	same(t, "followers", followers, 2)
	if changes == 0 {
		t.Error("nothing is remembered for two who follow")
	}
	fails(t, "end", endFirst(), context.Canceled)
	_, laptop := w.issue(w.bob.actor, domain.Personal, "another")
	second.caughtUp()
	second.comes("the one that stays hears of", laptop, true)
	fails(t, "end", endSecond(), context.Canceled)
	w.issue(w.bob.actor, domain.Personal, "third")
	followers, changes = feed()
	same(t, "behind both", []int{followers, changes}, []int{0, 0})
}

// TestBeat: it says where the engine is, also if nothing happens.
func TestBeat(t *testing.T) {
	w := newLab(t, personal)
	c := w.copied()
	for range 3 {
		w.pass(time.Second)
		c.beats()
		c.mu.Lock()
		last := c.told[len(c.told)-1]
		c.mu.Unlock()
		if !last.Marked || last.From != c.at || last.To != c.at || last.At != domain.At(w.now()) || len(last.Pieces) > 0 {
			t.Fatalf("told %+v at position %d", last, c.at)
		}
	}
}

// TestIdleTokensAtTheCopy: what is used elsewhere is told, where the policy asks for it.
func TestIdleTokensAtTheCopy(t *testing.T) {
	const idle = 2 * 24 * time.Hour
	for name, setsFirst := range map[string]bool{"the policy was there": true, "the policy comes while it follows": false} {
		t.Run(name, func(t *testing.T) {
			w := newLab(t, personal)
			sets := func() { w.demand(func(p *domain.Policy) { p.Idle = domain.Seconds(idle.Seconds()) }) }
			if setsFirst {
				sets()
			}
			c := w.copied()
			_, unused := w.issue(w.bob.actor, domain.Personal, "unused")
			for range 10 {
				w.pass(12 * time.Hour)
				w.check(w.model, w.bob.secret)
				c.beats()
			}
			if !setsFirst {
				w.check(w.model, w.owner.secret)
				sets()
				w.pass(idle - time.Hour)
			}
			c.caughtUp()
			c.comes("used elsewhere", w.bob.secret, true)
			c.comes("not used", unused, false)
			w.pass(idle + time.Hour)
			c.beats()
			c.comes("not used any more", w.bob.secret, false)
		})
	}
}

// TestIdleTokensOfWhoWasAway: what was used meanwhile is told when it comes back, or
// is quick again.
func TestIdleTokensOfWhoWasAway(t *testing.T) {
	w := newLab(t, personal)
	w.demand(func(p *domain.Policy) { p.Idle = 2 * 24 * 60 * 60 })
	_, unused := w.issue(w.bob.actor, domain.Personal, "unused")
	c := copying(w.world, w.model, w.engine)
	uses := func() {
		for range 10 {
			w.pass(12 * time.Hour)
			w.check(w.model, w.bob.secret)
		}
	}
	end := c.follow()
	c.caughtUp()
	fails(t, "end", end(), context.Canceled)
	uses()
	c.follow()
	c.beats() // the organization is where it was
	c.comes("used while it was away", w.bob.secret, true)
	c.comes("not used", unused, false)

	c.gate = make(chan struct{})
	uses()
	suspended := false
	for range manyChanges + 2 {
		suspended = !suspended
		w.do(w.owner.actor, domain.UpdateMember{Account: w.bob.id, Suspended: &suspended})
	}
	close(c.gate)
	c.caughtUp()
	c.comes("used while it was slow", w.bob.secret, true)
	same(t, "begun anew", c.resets(), 1)
}

// TestRefreshIsRare: it is told at most every ten minutes, and only of what was used.
func TestRefreshIsRare(t *testing.T) {
	w := newLab(t, personal)
	w.demand(func(p *domain.Policy) { p.Idle = domain.Seconds(2 * 24 * 60 * 60) })
	c := w.copied()
	w.pass(time.Hour)
	pieces := 0
	for range 60 {
		w.pass(time.Minute)
		w.check(w.model, w.bob.secret)
		c.beats()
		c.mu.Lock()
		pieces += len(c.told[len(c.told)-1].Pieces)
		c.mu.Unlock()
	}
	same(t, "pieces in an hour", pieces, 6)
}

// TestLiveRefuses what there is not, and who does not serve.
func TestLiveRefuses(t *testing.T) {
	w := newLab(t, personal)
	tell := func(Told) error { return nil }
	err := w.model.Live(t.Context(), newOrganizationID(), w.engine, 0, nil, tell)
	fails(t, "an unknown organization", err, domain.ErrNotFound)
	err = NewModel(w.store, vault, w.now).Live(t.Context(), w.org, w.engine, 0, nil, tell)
	fails(t, "a model that is still reading", err, ErrLoading)
	broken := errors.New("broken")
	err = w.model.Live(t.Context(), w.org, w.engine, 0, nil, func(Told) error { return broken })
	fails(t, "an engine that does not listen", err, broken)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	fails(t, "nobody", w.model.Live(ended, w.org, w.engine, 0, nil, tell), context.Canceled)
	nobody := copying(w.world, w.model, w.engine+100)
	nobody.follow()
	nobody.caughtUp()
	if got, _ := nobody.answers(w.bob.secret.Reveal(), "", Use{}); got.via != domain.ViaNothing {
		t.Errorf("an engine that there is not lets bob in: %+v", got)
	}
}

// TestLiveEndsWithTheLog: what is damaged is not passed on.
func TestLiveEndsWithTheLog(t *testing.T) {
	w := newLab(t, personal)
	m := NewModel(w.store, vault, w.now)
	stopped := make(chan error, 1)
	stop := background(t, func(ctx context.Context) error { err := m.Run(ctx); stopped <- err; return err })
	fails(t, "load", m.Loaded(t.Context()), nil)
	c := copying(w.world, m, w.engine)
	ended := make(chan error, 1)
	go func() {
		ended <- m.Live(context.Background(), w.org, w.engine, 0, c.beat, c.take)
	}()
	c.caughtUp()
	id := domain.RandomCommandID()
	w.entry(eventstore.Entry{ID: id, Boundary: "x", Data: []byte("rubbish")}, 0)
	want := <-stopped
	select {
	case err := <-ended:
		fails(t, "live", err, want)
	case <-time.After(time.Minute):
		t.Fatal("live does not end")
	}
	_ = stop()
	fails(t, "who comes then", m.Live(t.Context(), w.org, w.engine, 0, nil, c.take), want)
}

// TestManyFollowWhileMuchHappens: several engines follow while commands run at two
// nodes. The race detector looks on.
func TestManyFollowWhileMuchHappens(t *testing.T) {
	w := newLab(t, personal)
	other := w.other()
	var copies []*collector
	for i := range 6 {
		c := copying(w.world, []*Model{w.model, other}[i%2], w.engine)
		c.follow()
		copies = append(copies, c)
	}
	w.demand(func(p *domain.Policy) { p.Personal.PerHolder = 1000 })
	var mu sync.Mutex
	var shown []string
	errs := atOnce(4, func(i int) error {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		m := []*Model{w.model, other}[i%2]
		for n := range 60 {
			c, secret := issuing(domain.Personal, fmt.Sprint("token ", i, " ", n))
			_, err := m.Execute(t.Context(), w.meta(w.bob.actor), c)
			if errors.Is(err, eventstore.ErrConflict) {
				continue // somebody else was faster, sixteen times
			}
			if err != nil {
				return err
			}
			if r.IntN(3) == 0 {
				_, err = m.Execute(t.Context(), w.meta(w.owner.actor), domain.RevokeToken{Token: c.Token})
			}
			if err != nil && !errors.Is(err, eventstore.ErrConflict) {
				return err
			}
			mu.Lock()
			shown = append(shown, secret.Reveal())
			mu.Unlock()
		}
		return nil
	})
	for _, err := range errs {
		fails(t, "execute", err, nil)
	}
	fails(t, "wait", other.Wait(t.Context(), w.last()), nil)
	fails(t, "wait", w.model.Wait(t.Context(), w.last()), nil)
	for _, c := range copies {
		c.agrees(shown)
	}
}

// parted is a log that this node cannot reach now and then.
type parted struct {
	eventstore.Memory
	away atomic.Bool
}

func (l *parted) Last(ctx context.Context) (domain.Position, error) {
	if l.away.Load() {
		return 0, eventstore.ErrUnavailable
	}
	return l.Memory.Last(ctx)
}

// TestNobodyVouches: a node that is cut off from the log does not tell engines that
// nothing has happened, and leaves them to look for another node.
func TestNobodyVouches(t *testing.T) {
	log := new(parted)
	w := &lab{world: worldOn(t, log)}
	w.org, w.owner = w.found("acme", "owner@example.org")
	w.engine = w.world.engine("prod", personal)
	c := copying(w.world, w.model, w.engine)
	end := c.follow()
	c.caughtUp()
	feel := func() {
		w.pass(time.Second)
		c.beat <- time.Time{}
	}
	marks := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.told)
	}
	before := marks()
	log.away.Store(true)
	feel()
	feel() // the first was not told: the loop has come around
	log.away.Store(false)
	if n := marks(); n != before {
		t.Errorf("%d marks of a node that is cut off", n-before)
	}
	w.pass(time.Second)
	c.beats() // it is back
	log.away.Store(true)
	for range silentBeats {
		feel()
	}
	fails(t, "live", end(), eventstore.ErrUnavailable)
}
