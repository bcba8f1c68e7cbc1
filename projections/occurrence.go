package projections

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
)

// What is worth knowing although nothing changed is recorded in the log, where
// everybody's commands go: so nobody may be able to fill the log with it, and nobody
// who is refused waits for it.
//
// What is alike (of one organization, one token, one action, refused as the same
// problem) is recorded at once when it is new, and then with how often it has
// happened: after a minute, after two more, and so on up to an hour, as long as it
// goes on. A program that nobody has told that its token has expired costs some thirty
// commits on its first day. Of an organization at most so many are recorded in a
// minute; what is beyond is counted in one.
//
// Each node counts for itself. What it has counted since it recorded something is in
// memory: a node that ends writes it down, one that dies takes the number with it, but
// not the fact.
type occurrences struct {
	mu      sync.Mutex // guards all but news
	all     map[alike]*occurrence
	budgets map[domain.OrganizationID]*budget
	number  uint64        // of the last one
	news    chan struct{} // has room for one: something is new
}

// alike is what is recorded as one.
type alike struct {
	organization domain.OrganizationID
	token        domain.TokenID
	kind         occasionKind
	action, code string
}

// occasionKind tells refusals from readings.
type occasionKind bool

const (
	refusal occasionKind = false
	reading occasionKind = true
)

// occurrence is the last of those that are alike.
type occurrence struct {
	recording
	paid bool // it counts in its organization's minute already
	due  domain.Instant
	wait domain.Instant // how long it is counted then before it is recorded again
}

// recording is what is to be recorded as one.
type recording struct {
	alike
	meta    domain.Meta
	command domain.Occurrence
	times   uint32 // not recorded yet
	number  uint64 // of the last one, for their order
}

// budget is how many an organization has had in a minute.
type budget struct {
	minute domain.Instant
	spent  int
	others uint32 // were too many
}

const (
	// perMinute is how many are recorded of an organization in a minute, the one that
	// counts all others among them.
	perMinute = 60
	// manyOccurrences is how many that differ are remembered at once.
	manyOccurrences = 10_000
	longestWait     = 60 * minute
)

// Note lets it be known that somebody was refused, in meta's organization and by its
// actor. It never makes the caller wait, and nothing can be wrong with it.
func (m *Model) Note(meta domain.Meta, refused domain.AccessRefused) {
	key := alike{meta.Organization, meta.Actor.Token, refusal, refused.Action, refused.Code}
	if m.occurrences.note(key, meta, domain.RecordRefusal{AccessRefused: refused}, domain.At(m.now())) {
		select {
		case m.occurrences.news <- struct{}{}:
		default:
		}
	}
}

// Read records that somebody reads what happened, before they get to see it: an error
// means that they must not. Whoever goes on reading is counted. The position is that
// of the record; 0: it was counted.
func (m *Model) Read(ctx context.Context, meta domain.Meta, read domain.AuditRead) (domain.Position, error) {
	key := alike{meta.Organization, meta.Actor.Token, reading, read.Action, ""}
	command := domain.RecordRead{AuditRead: read}
	if m.occurrences.again(key, meta, command) {
		return 0, nil
	}
	outcome, err := m.Execute(ctx, meta, command)
	if err == nil {
		m.occurrences.recorded(key, meta, command, domain.At(m.now()))
	}
	return outcome.Position, err
}

// Export records that somebody takes what happened with them, each time, before they
// get it.
func (m *Model) Export(ctx context.Context, meta domain.Meta, exported domain.AuditExported) (domain.Position, error) {
	outcome, err := m.Execute(ctx, meta, domain.RecordExport{AuditExported: exported})
	return outcome.Position, err
}

// again counts what was recorded not long ago.
func (o *occurrences) again(key alike, meta domain.Meta, command domain.Occurrence) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count(key, meta, command)
}

func (o *occurrences) count(key alike, meta domain.Meta, command domain.Occurrence) bool {
	known := o.all[key]
	if known != nil {
		o.number++
		known.meta, known.command, known.number = meta, command, o.number
		known.times++
	}
	return known != nil
}

// note counts what somebody was refused. True: it is new.
func (o *occurrences) note(key alike, meta domain.Meta, command domain.Occurrence, now domain.Instant) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count(key, meta, command) {
		return false
	}
	if b := o.budget(key.organization, now); len(o.all) >= manyOccurrences || !b.take() {
		b.others++
		return false
	}
	o.number++
	o.all[key] = &occurrence{recording{key, meta, command, 1, o.number}, true, now, minute}
	return true
}

// recorded remembers what has just been recorded, so that it is counted from now on.
func (o *occurrences) recorded(key alike, meta domain.Meta, command domain.Occurrence, now domain.Instant) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all[key] == nil && len(o.all) < manyOccurrences {
		o.all[key] = &occurrence{recording{key, meta, command, 0, o.number}, false, now + minute, 2 * minute}
	}
}

func (o *occurrences) budget(org domain.OrganizationID, now domain.Instant) *budget {
	b := o.budgets[org]
	if b == nil {
		b = new(budget)
		o.budgets[org] = b
	}
	if at := now / minute; b.minute != at {
		b.minute, b.spent = at, 0
	}
	return b
}

// take leaves room for the one that counts all others.
func (b *budget) take() bool {
	if b.spent >= perMinute-1 {
		return false
	}
	b.spent++
	return true
}

// due is what has to be recorded now; at the end: everything that was counted. It is
// counted anew from then on.
func (o *occurrences) due(now domain.Instant, end bool) (due []recording) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, known := range o.all {
		switch {
		case known.due > now && !end:
		case known.times == 0:
			delete(o.all, key) // it did not go on
		case known.paid || end || o.budget(key.organization, now).take():
			due = append(due, known.recording)
			known.times, known.paid = 0, false
			known.due, known.wait = now+known.wait, min(2*known.wait, longestWait)
		}
	}
	slices.SortFunc(due, func(a, b recording) int { return cmp.Compare(a.number, b.number) })
	return append(due, o.tooMany(now, end)...)
}

// tooMany is what was beyond what an organization has recorded in a minute, once that
// is over.
func (o *occurrences) tooMany(now domain.Instant, end bool) (due []recording) {
	for org, b := range o.budgets {
		switch {
		case b.minute == now/minute && !end:
		case b.others == 0:
			delete(o.budgets, org)
		default:
			meta := domain.Meta{Organization: org, Actor: domain.Actor{Kind: domain.ActorSystem}}
			due = append(due, recording{alike{organization: org}, meta, others, b.others, 0})
			b.others = 0
		}
	}
	return due
}

// others is the one that counts all others.
var others = domain.RecordRefusal{AccessRefused: domain.AccessRefused{
	Action: "others", Code: "many", Reason: "more was refused in a minute than is recorded one by one",
}}

// undo counts again what could not be recorded.
func (o *occurrences) undo(r *recording, now domain.Instant) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch known := o.all[r.alike]; {
	case r.token.IsZero() && r.action == "":
		o.budget(r.organization, now).others += r.times
	case known != nil:
		known.times += r.times
		known.paid, known.due = true, now
	}
}

// RecordOccurrences records what was noted, and looks in every interval for what has
// gone on, until ctx ends; then it records all that was counted. While the log can't
// take it, it goes on being counted.
func (m *Model) RecordOccurrences(ctx context.Context, every time.Duration, log zerolog.Logger) error {
	if err := m.Loaded(ctx); err != nil {
		return nil // Run has said why
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPatience)
			defer cancel()
			return m.recordDue(ctx, true)
		case <-m.occurrences.news:
		case <-tick.C:
		}
		err := m.recordDue(ctx, false)
		if err != nil && !failing && ctx.Err() == nil { // at the end all is recorded once more
			log.Error().Err(err).Msg("what was refused can't be recorded now; it is counted until it can")
		}
		failing = err != nil
	}
}

// recordDue records what is due, or says why it could not record all of it.
func (m *Model) recordDue(ctx context.Context, end bool) (failed error) {
	now := domain.At(m.now())
	for _, r := range m.occurrences.due(now, end) {
		err := failed // the log that could not take one is not asked for each of the others
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			_, err = m.Execute(ctx, r.meta, r.command.Again(r.times))
		}
		if err != nil && !isGone(err) { // of an organization that was deleted nothing more is known
			m.occurrences.undo(&r, now)
			failed = err
		}
	}
	return failed
}

// unfit lets it be known that an engine, or whoever asks, was shown a token that is
// good no more. Of one that is bound to networks that is known only if somebody says
// where its bearer is.
func (m *Model) unfit(c *Checked, use *Use) {
	why, worth := c.Unfit()
	if !worth || use.Engine.IsZero() || c.Reason == domain.ReasonNetwork && !use.Address.IsValid() {
		return
	}
	meta := domain.Meta{Organization: c.Home, Actor: domain.Actor{Kind: domain.ActorBearer, Token: c.ID}, Agent: use.Agent}
	if use.Address.IsValid() {
		meta.Address = use.Address.String()
	}
	m.Note(meta, domain.AccessRefused{Action: "check", Code: m.CodeOf(c), Target: m.asker(c.Home, use.Engine), Reason: why, Token: c.ID})
}

// CodeOf is as what a token that is good no more is refused.
func (m *Model) CodeOf(c *Checked) string {
	burned := false
	_ = m.read(c.Home, func(o *domain.Organization) error { burned = o.Burned(c.ID); return nil })
	if burned && c.Reason == domain.ReasonRevoked {
		return "burned"
	}
	return string(c.Reason)
}

// asker is the engine that was shown a token, if it is of the token's organization:
// who else asks is not its business.
func (m *Model) asker(org domain.OrganizationID, token domain.TokenID) string {
	if e, known := m.EngineOf(org, token); known {
		return "engine:" + e.Name
	}
	return ""
}
