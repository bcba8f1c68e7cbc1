package projections

import (
	secrets "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// life is a world in which anything may be asked for, and much is refused. The
// same seed asks for the same.
type life struct {
	*world
	*rand.Rand
	names    int
	people   []somebody // of the first organization: there or gone, but not its owner
	others   []domain.OrganizationID
	theirs   map[domain.OrganizationID]somebody
	webhooks []domain.Position
	tokens   []domain.TokenID
	hashes   map[domain.TokenID][]domain.Hash // of all secrets that a token had
	shown    []string                         // all secrets and verification tokens that there are or were
	kinds    map[string]int                   // of events that happened
}

func newLife(t testing.TB, seed uint64) *life {
	return lifeOn(t, new(eventstore.Memory), seed)
}

// lifeOn begins on a log that is empty.
func lifeOn(t testing.TB, store eventstore.Store, seed uint64) *life {
	w := worldOn(t, store)
	w.org, w.owner = w.found("acme", "owner@example.org")
	l := &life{
		world: w, Rand: rand.New(rand.NewPCG(seed, seed)), theirs: map[domain.OrganizationID]somebody{},
		hashes: map[domain.TokenID][]domain.Hash{}, kinds: map[string]int{},
	}
	l.sent = newSent()
	l.shown = append(l.shown, l.owner.secret.Reveal())
	return l
}

// live lets so many things be asked for.
func (l *life) live(n int) {
	l.Helper()
	rare := []func(){l.founds, l.endsPerson, l.endsOrganization, l.operates, l.setsPolicy}
	usual := []func(){
		l.issues, l.issues, l.issues, l.updates, l.updates, l.rotates, l.rotates, l.rotates, l.reuses, l.revokes, l.revokesMany,
		l.burns, l.burns, l.judges, l.judges, l.joins, l.changesMember, l.changesMember, l.programs, l.changesProgram, l.serves, l.defines,
		l.registers, l.changesEngine, l.hooks, l.keeps, l.keeps, l.amends, l.removes,
	}
	for range n {
		l.pass(time.Duration(l.Int64N(int64(3 * time.Hour))))
		if l.IntN(12) == 0 {
			rare[l.IntN(len(rare))]()
			continue
		}
		usual[l.IntN(len(usual))]()
	}
}

// ask wants something of the first organization. What the rules refuse is refused.
func (l *life) ask(a domain.Actor, c domain.OrganizationCommand) bool {
	l.Helper()
	_, done := l.asks(a, c)
	return done
}

func (l *life) asks(a domain.Actor, c domain.OrganizationCommand) (Outcome, bool) {
	l.Helper()
	o, err := l.model.Execute(l.Context(), l.meta(a), c)
	return o, l.answered(o, err, c)
}

func (l *life) askAbove(a domain.Actor, org domain.OrganizationID, c domain.DirectoryCommand) bool {
	l.Helper()
	o, err := l.model.ExecuteDirectory(l.Context(), domain.Meta{Actor: a, Organization: org}, c)
	return l.answered(o, err, c)
}

func (l *life) answered(o Outcome, err error, command any) bool {
	l.Helper()
	var refusal *domain.Refusal
	if err != nil && !errors.As(err, &refusal) {
		l.Fatalf("%T: %v", command, err)
	}
	if err != nil {
		return false
	}
	for _, e := range o.Events {
		l.kinds[e.Kind()]++
	}
	return len(o.Events) > 0
}

// actor is mostly the owner, and sometimes somebody who may do less, or nothing.
func (l *life) actor() domain.Actor {
	if len(l.people) == 0 || l.IntN(3) > 0 {
		return l.owner.actor
	}
	return l.someone().actor
}

func (l *life) someone() somebody {
	young := l.people[max(0, len(l.people)-6):]
	return young[l.IntN(len(young))]
}

func (l *life) name(what string) string {
	l.names++
	return fmt.Sprintf("%s %d", what, l.names)
}

func (l *life) maybe() bool { return l.IntN(2) == 0 }

// token is one of those that were issued by a command of this life: never the one
// that the owner acts with.
func (l *life) token() domain.TokenID {
	if len(l.tokens) == 0 {
		return domain.TokenID{}
	}
	young := l.tokens[max(0, len(l.tokens)-20):] // the older ones have ended, most of them
	return young[l.IntN(len(young))]
}

func (l *life) program() domain.AccountID {
	if len(l.world.programs) == 0 {
		return domain.AccountID{}
	}
	young := l.world.programs[max(0, len(l.world.programs)-4):]
	return young[l.IntN(len(young))]
}

func (l *life) soon() domain.Instant {
	return domain.At(l.now().Add(time.Duration(1 + l.Int64N(int64(40*24*time.Hour)))))
}

func (l *life) grant() domain.Grant {
	switch l.IntN(5) {
	case 0:
		return domain.Grant{Access: domain.ReadOnly}
	case 1:
		return domain.Grant{Access: domain.FullAccess}
	case 2:
		return domain.Grant{Access: domain.ByRole, Role: "ci", Resources: []domain.Resource{"engine:prod", "engine:*"}}
	case 3:
		return domain.Grant{Access: domain.ByList, Permissions: []string{"tokens.check", "engines.read"}}
	}
	return domain.Grant{}
}

func (l *life) limit() domain.Limit {
	if l.maybe() {
		return domain.Limit{}
	}
	return domain.Limit{Requests: 1 + l.Uint32N(100), Window: domain.Seconds(1 + l.IntN(100))}
}

func (l *life) networks() []domain.Network {
	if l.maybe() {
		return nil
	}
	return []domain.Network{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}[:1+l.IntN(2)]
}

func (l *life) terms() domain.Terms {
	if l.maybe() {
		return domain.Terms{}
	}
	t := domain.Terms{Grant: l.grant(), Networks: l.networks(), Limit: l.limit()}
	if l.IntN(4) == 0 {
		t.NotBefore = domain.At(l.now().Add(time.Minute))
	}
	return t
}

func (l *life) issues() {
	kind := domain.TokenKind(1 + l.IntN(3))
	c, secret := issuing(kind, l.name("token"))
	c.Terms, c.Unbound, c.Never = l.terms(), l.IntN(5) == 0, l.IntN(8) == 0
	if kind == domain.Service {
		c.Holder = l.program()
	}
	if l.maybe() && !c.Never {
		c.Expires = l.soon()
	}
	if l.ask(l.actor(), c) {
		l.has(c.Token, secret)
	}
}

// has keeps a token that is there now.
func (l *life) has(id domain.TokenID, secret domain.Secret) {
	l.tokens, l.shown = append(l.tokens, id), append(l.shown, secret.Reveal())
	l.hashes[id] = []domain.Hash{secret.Hash()}
}

func (l *life) updates() {
	c := domain.UpdateToken{Token: l.token()}
	name, description, grant, networks, limit, expires := l.name("renamed"), l.name("for"), l.grant(), l.networks(), l.limit(), l.soon()
	switch l.IntN(6) {
	case 0:
		c.Name = &name
	case 1:
		c.Description = &description
	case 2:
		c.Grant = &grant
	case 3:
		c.Networks, c.Limit = &networks, &limit
	case 4:
		c.Expires = &expires
	case 5:
		var none domain.Terms
		c.Grant, c.Networks, c.NotBefore, c.Limit = &none.Grant, &none.Networks, &none.NotBefore, &none.Limit
	}
	l.ask(l.actor(), c)
}

func (l *life) rotates() {
	id := l.token()
	if len(l.hashes[id]) > 9 {
		return // the model forgets the eldest secrets, and whether they were used
	}
	t, known := l.model.Token(l.org, id)
	if !known {
		return
	}
	secret, err := domain.NewSecret(t.Kind, id, secrets.Reader)
	fails(l, "draw", err, nil)
	c := domain.RotateToken{Token: id, Hash: secret.Hash(), Overlap: domain.Seconds(l.IntN(2) * l.IntN(600_000))}
	a := l.owner.actor
	if t.Kind == domain.Personal {
		a.Account, a.Token = t.Holder, id // whoever has the token
	}
	if l.ask(a, c) {
		l.hashes[id], l.shown = append(l.hashes[id], c.Hash), append(l.shown, secret.Reveal())
	}
}

// secret is one that a token has or had.
func (l *life) secret() (domain.TokenID, domain.Hash) {
	id := l.token()
	all := l.hashes[id]
	if len(all) == 0 {
		return id, domain.Hash{}
	}
	return id, all[l.IntN(len(all))]
}

func (l *life) reuses() {
	id, hash := l.secret()
	l.ask(system, domain.ReportReuse{Token: id, Hash: hash})
}

// burns is somebody who has found a secret: mostly one that was rotated out.
func (l *life) burns() {
	id, hash := l.secret()
	if n := len(l.hashes[id]); n > 1 && l.IntN(4) > 0 {
		hash = l.hashes[id][n-2]
	}
	l.ask(domain.Actor{Kind: domain.ActorBearer, Token: id}, domain.BurnToken{Token: id, Hash: hash, Reason: "found"})
}

func (l *life) revokes() {
	if l.IntN(3) == 0 {
		l.ask(l.actor(), domain.RevokeToken{Token: l.token(), Reason: "over"})
	}
}

// revokesMany is not always about many, or nothing would be left to live with.
func (l *life) revokesMany() {
	c := domain.RevokeTokens{Reason: "cleaning up"}
	switch l.IntN(5) {
	case 0:
		c.Kind = domain.TokenKind(1 + l.IntN(3))
		c.Before = domain.At(l.now().Add(-time.Duration(l.Int64N(int64(30 * 24 * time.Hour)))))
	case 1:
		c.Holder = l.program()
	case 2:
		c.Before = domain.At(l.now().Add(-time.Duration(l.Int64N(int64(30 * 24 * time.Hour)))))
	case 3:
		c.Tokens = []domain.TokenID{l.token(), l.token()}
	case 4:
		c.Holder = l.owner.id
	}
	l.ask(l.owner.actor, c)
}

func (l *life) judges() {
	waiting := l.model.Approvals(l.org)
	if len(waiting) == 0 {
		return
	}
	id, by := waiting[l.IntN(len(waiting))].Token, l.owner.actor
	if len(l.people) > 0 && l.maybe() {
		by = l.someone().actor
	}
	if l.maybe() {
		l.ask(by, domain.ApproveToken{Token: id})
		return
	}
	l.ask(by, domain.RefuseToken{Token: id, Reason: "not that"})
}

func (l *life) joins() {
	if len(l.people) > 3 && l.IntN(4) > 0 {
		return
	}
	p, first := newSomebody()
	l.askAbove(l.owner.actor, domain.OrganizationID{}, domain.RegisterAccount{Account: p.id, Email: fmt.Sprintf("p%d@example.org", l.last())})
	c := domain.AddMember{Account: p.id, Role: []domain.Role{domain.Ordinary, domain.Admin, domain.Admin}[l.IntN(3)]}
	if l.IntN(4) > 0 {
		c.First = first
	}
	if l.ask(l.owner.actor, c) {
		l.people, l.shown = append(l.people, p), append(l.shown, p.secret.Reveal())
	}
}

func (l *life) changesMember() {
	if len(l.people) == 0 {
		return
	}
	id := l.someone().id
	if l.IntN(6) == 0 {
		l.ask(l.owner.actor, domain.RemoveMember{Account: id, Reason: "left"})
		return
	}
	role := []domain.Role{domain.Auditor, domain.Admin, domain.Admin, "ci"}[l.IntN(4)]
	suspended, limit := l.maybe(), l.limit()
	c := domain.UpdateMember{Account: id, Reason: "because"}
	switch l.IntN(3) {
	case 0:
		c.Role = &role
	case 1:
		c.Suspended = &suspended
	case 2:
		c.Limit = &limit
	}
	l.ask(l.owner.actor, c)
}

func (l *life) programs() {
	c := domain.CreateServiceAccount{Account: domain.AccountID{ID: domain.RandomID()}, Name: l.name("program"), Grant: l.grant()}
	if l.ask(l.actor(), c) {
		l.world.programs = append(l.world.programs, c.Account)
	}
}

func (l *life) changesProgram() {
	id := l.program()
	if l.IntN(6) == 0 {
		l.ask(l.owner.actor, domain.DeleteServiceAccount{Account: id, Reason: "retired"})
		return
	}
	name, description, grant, disabled, limit := l.name("program"), l.name("for"), l.grant(), l.maybe(), l.limit()
	c := domain.UpdateServiceAccount{Account: id}
	switch l.IntN(5) {
	case 0:
		c.Name = &name
	case 1:
		c.Description = &description
	case 2:
		c.Grant = &grant
	case 3:
		c.Disabled = &disabled
	case 4:
		c.Limit = &limit
	}
	l.ask(l.owner.actor, c)
}

// serves is what the service does by itself.
func (l *life) serves() {
	l.ask(system, domain.WarnOfExpiry{})
	l.ask(system, domain.Lapse{})
	l.ask(l.actor(), domain.RecordRefusal{AccessRefused: domain.AccessRefused{Action: "POST tokens", Code: "denied"}})
	l.ask(l.actor(), domain.RecordRead{AuditRead: domain.AuditRead{Action: "list"}})
	l.ask(l.actor(), domain.RecordExport{AuditExported: domain.AuditExported{Action: "export"}})
}

// hooks makes webhooks and changes them.
func (l *life) hooks() {
	number := l.last()
	if len(l.webhooks) > 0 {
		number = l.webhooks[l.IntN(len(l.webhooks))]
	}
	name, disabled := l.name("hook"), l.maybe()
	switch l.IntN(6) {
	case 0, 1:
		o, made := l.asks(l.actor(), domain.CreateWebhook{Announcement: domain.Announcement{Name: name, URL: "https://hooks.example.org/", Shape: domain.StandardWebhook}})
		if made {
			l.webhooks = append(l.webhooks, o.Position)
		}
	case 2:
		l.ask(l.actor(), domain.UpdateWebhook{Webhook: number, Name: &name, Disabled: &disabled})
	case 3:
		l.ask(l.actor(), domain.ReplaceWebhookSecret{Webhook: number, AtOnce: l.maybe()})
	case 4:
		l.ask(system, domain.SwitchWebhookOff{Webhook: number, Reason: "it is gone"})
	case 5:
		l.ask(l.actor(), domain.DeleteWebhook{Webhook: number})
	}
}

// sealed signs what has happened.
func (l *life) sealed(v *Views) {
	l.Helper()
	l.pass(time.Minute)
	caughtUp(l.world, v)
	before := l.last()
	s := &Sealer{Model: l.model, Views: v, Vault: vault, Log: "log-of-the-test", Every: time.Minute}
	done, err := s.Seal(l.Context())
	fails(l, "seal", err, nil)
	if done {
		l.kinds["epoch.sealed"]++
	}
	if l.last()-before == 2 {
		l.kinds["signing_key.set"]++
	}
}

func (l *life) defines() {
	switch l.IntN(5) {
	case 0:
		l.ask(l.actor(), domain.CreateRole{Name: domain.Role(fmt.Sprintf("role%d", l.IntN(5))), Permissions: []string{"tokens.check"}})
	case 1:
		description := l.name("role")
		l.ask(l.actor(), domain.UpdateRole{Name: domain.Role(fmt.Sprintf("role%d", l.IntN(5))), Description: &description})
	case 2:
		l.ask(l.actor(), domain.DeleteRole{Name: domain.Role(fmt.Sprintf("role%d", l.IntN(5)))})
	case 3:
		l.ask(l.actor(), domain.DefinePermission{Definition: domain.Definition{Name: fmt.Sprintf("clones.do%d", l.IntN(4)), Group: "clones"}})
	case 4:
		l.ask(l.actor(), domain.RetirePermission{Name: fmt.Sprintf("clones.do%d", l.IntN(4))})
	}
}

func (l *life) setsPolicy() {
	p, _ := l.model.Policy(l.org)
	p.Personal.PerHolder = 20
	p.Approval = domain.Approval{Lapse: domain.Seconds(l.IntN(3) * 24 * 60 * 60)}
	if l.IntN(3) > 0 {
		p.Approval.Kinds = []domain.TokenKind{domain.TokenKind(1 + l.IntN(3))}
	}
	p.Reuse = []domain.Reuse{domain.ReuseReported, domain.ReuseReported, domain.ReuseRevokes}[l.IntN(3)]
	l.ask(l.owner.actor, domain.UpdatePolicy{Policy: p})
	l.ask(l.owner.actor, domain.UpdateOrganization{Name: l.name("Acme")})
}

func (l *life) founds() {
	p, first := newSomebody()
	id := newOrganizationID()
	c := domain.CreateOrganization{
		Organization: id, Alias: fmt.Sprintf("other%d", l.last()), Name: l.name("Other"),
		OwnerEmail: fmt.Sprintf("o%d@example.org", l.last()), Account: p.id, First: first,
	}
	if l.askAbove(l.owner.actor, id, c) {
		l.others, l.theirs[id] = append(l.others, id), p
	}
}

func (l *life) endsOrganization() {
	if len(l.others) == 0 {
		return
	}
	id := l.others[l.IntN(len(l.others))]
	profile, _ := l.model.Profile(id)
	o, err := l.model.Execute(l.Context(), domain.Meta{Organization: id, Actor: l.theirs[id].actor}, domain.DeleteOrganization{Alias: profile.Alias})
	l.answered(o, err, "delete")
}

// endsPerson deletes an account, and sometimes the service takes it out of the
// organization at once.
func (l *life) endsPerson() {
	if len(l.people) < 4 || l.maybe() {
		return
	}
	id := l.someone().id
	if l.maybe() {
		l.askAbove(l.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: id, Reason: "asked for it"})
	}
	if l.maybe() {
		l.askAbove(l.owner.actor, domain.OrganizationID{}, domain.EraseAccount{Account: id, Reason: "asked for it"})
	}
	if l.maybe() {
		for _, leaver := range l.model.tenant(l.org).leavers() {
			l.ask(system, domain.RemoveMember{Account: leaver, Reason: "the account was deleted"})
		}
	}
}

func (l *life) operates() {
	if len(l.people) == 0 {
		return
	}
	p := l.someone()
	account, _ := l.model.Account(p.id)
	if l.maybe() {
		l.askAbove(l.owner.actor, domain.OrganizationID{}, domain.NameOperator{Email: account.Email})
		return
	}
	l.askAbove(l.owner.actor, domain.OrganizationID{}, domain.DismissOperator{Account: p.id})
}

const seeds = 6

// TestViewsSayWhatTheModelSays after whatever happens, on both databases, on
// another node, and when all is read again.
func TestViewsSayWhatTheModelSays(t *testing.T) {
	happened := map[string]int{}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			l := newLife(t, seed)
			l.demand(func(p *domain.Policy) { p.Personal.PerHolder = 20 })
			other, follower := l.other(), openViews(t, sqliteURL(t))
			end := runViews(t, follower, l.store)
			for range 4 { // views that follow, in batches of whatever size
				l.live(350)
				l.sealed(follower)
				agree(l.world, follower, l.org)
			}
			everywhere(t, func(t *testing.T, url string) { // views that begin now
				here := l.here(t)
				v := viewsOf(here, url)
				for _, org := range append([]domain.OrganizationID{l.org}, l.others...) {
					agree(here, v, org)
				}
				same(t, "rows", dump(t, v), dump(t, follower))
			})
			rebuilt(l.world, follower, end)
			fails(t, "the other node", other.Wait(t.Context(), l.last()), nil)
			sameFacts(t, "the other node", modelSays(l.world, other, l.org), modelSays(l.world, l.model, l.org))
			for kind, n := range l.kinds {
				happened[kind] += n
			}
		})
	}
	vocabulary, err := os.ReadFile("../domain/vocabulary.go")
	fails(t, "vocabulary", err, nil)
	for _, kind := range regexp.MustCompile(`"(.+)": +read\[`).FindAllStringSubmatch(string(vocabulary), -1) {
		if happened[kind[1]] == 0 {
			t.Errorf("%s has never happened: let it", kind[1])
		}
	}
	t.Log(happened)
}
