package projections

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections/pgtest"
)

// entryTold is an entry as a plain fold of the log tells it.
type entryTold struct {
	place        Place
	at           domain.Instant
	actor        domain.Actor
	address      string
	actorName    string
	action, noun string
	target, name string
	outcome      string
	things       map[string]bool
	words        []string
	before       map[string]any // of tokens: name, description and expiry
}

// auditTold folds the log of the world's first organization with its rules, and nothing
// of the views.
func auditTold(w *world) (entries []entryTold) {
	w.Helper()
	o := domain.NewOrganization(w.org)
	names := map[string]string{} // of tokens and service accounts
	descriptions := map[string]string{}
	for _, c := range commitsOf(w, w.org) {
		if o.Number == 0 {
			o.Number = c.Position
		}
		for i, e := range c.Events {
			entry := entryTold{place: PlaceOf(c.Position, i), at: c.Time, actor: c.Actor, address: c.Address, action: e.Kind(), outcome: Done, things: map[string]bool{}}
			entry.actorName = names[map[domain.ActorKind]string{domain.ActorToken: c.Actor.Token.String(), domain.ActorService: c.Actor.Account.String()}[c.Actor.Kind]]
			entry.tell(c, e, o, names, descriptions)
			entries = append(entries, entry)
		}
		o.Evolve(c)
	}
	return entries
}

// commitsOf is all commits about an organization.
func commitsOf(w *world, org domain.OrganizationID) (all []domain.Commit) {
	w.Helper()
	last := w.last()
	err := w.store.Follow(w.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		c, err := eventstore.Decode(r)
		if err == nil {
			c, err = vault.Opened(w.Context(), c)
		}
		if err != nil {
			return err
		}
		if c.Organization == org {
			all = append(all, c)
		}
		if r.Position == last {
			return errBack // any error ends it
		}
		return nil
	})
	fails(w, "the log", err, errBack)
	return all
}

// tell says of an event what it is about, field by field and not by a table.
func (t *entryTold) tell(c domain.Commit, e domain.Event, o *domain.Organization, names, descriptions map[string]string) {
	var fields map[string]any
	data, _ := json.Marshal(e)
	_ = json.Unmarshal(data, &fields)
	str := func(name string) string { s, _ := fields[name].(string); return s }
	num := func(name string) string {
		if n, ok := fields[name].(float64); ok && n != 0 {
			return strconv.Itoa(int(n))
		}
		return strconv.Itoa(int(c.Position))
	}
	word, _, _ := strings.Cut(e.Kind(), ".")
	t.noun, t.name = word, str("name")
	switch word {
	case "token", "approval":
		t.noun, t.target = "token", str("token")
		if _, issued := e.(domain.TokenIssued); !issued {
			t.name = names[t.target]
		}
	case "tokens":
		t.noun = "token"
		for token := range o.Tokens.All() {
			_, until := o.Tokens.Find(token.ID)
			if ends(o, *token, e.(domain.TokensRevoked), c.Time) && until {
				t.things[token.ID.String()] = true
			}
		}
	case "account", "operator":
		t.target = str("account")
	case "member", "holder":
		t.noun, t.target = "member", str("account")
		if names[t.target] != "" {
			t.noun, t.name = "service_account", names[t.target]
		}
	case "service_account":
		t.target = str("account")
		if e.Kind() != "service_account.created" {
			t.name = names[t.target]
		}
	case "organization":
		t.target = c.Organization.String()
		if e.Kind() != "organization.created" {
			t.name = o.Name
		}
	case "role", "permission":
		t.target = t.name
	case "engine":
		t.target = num("engine")
		if t.name == "" {
			t.name = names["engine "+t.target]
		}
		names["engine "+t.target] = t.name
	case "access":
		t.target = str("target")
	case "audit":
		t.target = str("action")
	case "webhook":
		t.target = num("webhook")
	case "project":
		t.target = strconv.Itoa(int(c.Position))
	case "record", "records":
		t.noun = "record"
		if word == "record" {
			t.target, t.name = num("record"), str("key")
		}
	}
	switch e.Kind() {
	case "access.refused", "token.reused":
		t.outcome = RefusedAction
	}
	for _, thing := range []string{t.target, str("token"), str("holder"), str("account")} {
		if thing != "" {
			t.things[thing] = true
		}
	}
	if n, ok := fields["engine"].(float64); ok {
		t.things[strconv.Itoa(int(n))] = true
	}
	t.words = AuditWords(t.name + " " + t.actorName + " " + str("reason") + " " + str("name"))
	if word == "token" && t.action != "token.issued" {
		token, _ := o.Tokens.Find(tokenID(t.target))
		t.before = map[string]any{"name": names[t.target], "description": descriptions[t.target], "expires": token.Expires}
	}
	switch e := e.(type) {
	case domain.TokenIssued:
		names[t.target], descriptions[t.target] = e.Name, e.Description
	case domain.TokenRenamed:
		names[t.target] = e.Name
	case domain.TokenDescribed:
		descriptions[t.target] = e.Description
	case domain.ServiceAccountCreated:
		names[t.target] = e.Name
	case domain.ServiceAccountRenamed:
		names[t.target] = e.Name
	}
}

func tokenID(text string) (id domain.TokenID) {
	_ = id.UnmarshalText([]byte(text))
	return id
}

// ends reports whether an event ends a token, or a secret of it that was rotated out.
func ends(o *domain.Organization, t domain.Token, e domain.TokensRevoked, now domain.Instant) bool {
	if !e.Holder.IsZero() && t.Holder != e.Holder || e.Type != domain.NoKind && t.Kind != e.Type || t.ID == e.Except && !e.Except.IsZero() {
		return false
	}
	if e.Before == 0 {
		return !t.Revoked
	}
	return !t.Revoked && t.Issued < e.Before || o.Until(t.ID, now) > now
}

func TestAuditIsWhatTheLogTells(t *testing.T) {
	l := newLife(t, 5)
	l.live(700)
	want := auditTold(l.world)
	everywhere(t, func(t *testing.T, url string) {
		w := l.world.here(t)
		v := openViews(t, url)
		runViews(t, v, w.store)
		caughtUp(w, v)
		got := wholeAudit(t, v, AuditFilter{Organization: w.org, Oldest: true, Limit: 97})
		if len(got) != len(want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		for i, r := range got {
			sameEntry(t, r, want[i])
		}
		dice := rand.New(rand.NewPCG(7, 7))
		for range 300 {
			f, fits := randomFilter(dice, want)
			f.Organization, f.Limit = w.org, 1+dice.IntN(50)
			f.Mark = ""
			checkFilter(t, v, f, want, fits)
		}
		mark, err := v.AddressMark(t.Context(), w.org, netip.MustParseAddr("192.0.2.1"))
		fails(t, "mark", err, nil)
		checkFilter(t, v, AuditFilter{Organization: w.org, Mark: mark, Limit: 50}, want, func(e entryTold) bool { return e.address == "192.0.2.1" })
	})
}

func sameEntry(t *testing.T, got AuditRow, want entryTold) {
	t.Helper()
	row := fmt.Sprintf("%s %s", got.Place, got.Action)
	same(t, row, []any{got.Place, got.At, got.Actor, got.ActorName, got.Action, got.Noun, got.Target, got.TargetName, got.Outcome},
		[]any{want.place, want.at, want.actor, want.actorName, want.action, want.noun, want.target, want.name, want.outcome})
	if got.Event == nil || got.Event.Kind() != want.action {
		t.Fatalf("%s: its event is %v", row, got.Event)
	}
	if got.Before == nil || want.before == nil {
		return
	}
	var before map[string]any
	fails(t, row, json.Unmarshal(got.Before, &before), nil)
	for field, value := range before {
		wanted, known := want.before[field]
		if at, is := wanted.(domain.Instant); is {
			wanted = nil
			if at != 0 {
				wanted = at.String()
			}
		}
		if known && value != wanted && (value != nil || wanted != "") {
			t.Errorf("%s: %s was %v, want %v", row, field, value, wanted)
		}
	}
}

// wholeAudit reads page by page.
func wholeAudit(t *testing.T, v *Views, f AuditFilter) (all []AuditRow) {
	t.Helper()
	for {
		page, err := v.Audit(t.Context(), f)
		fails(t, fmt.Sprintf("%+v", f), err, nil)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		if f.Oldest {
			f.After = page[len(page)-1].Place
		} else {
			f.Before = page[len(page)-1].Place
		}
	}
}

// randomFilter draws a few conditions from what there is, so that they often meet.
func randomFilter(dice *rand.Rand, all []entryTold) (f AuditFilter, fits func(entryTold) bool) {
	var conditions []func(entryTold) bool
	and := func(c func(entryTold) bool) { conditions = append(conditions, c) }
	model := all[dice.IntN(len(all))]
	for range 1 + dice.IntN(3) {
		switch dice.IntN(10) {
		case 0:
			f.Account = model.actor.Account
			and(func(e entryTold) bool { return f.Account.IsZero() || e.actor.Account == f.Account })
		case 1:
			f.Token = model.actor.Token
			and(func(e entryTold) bool { return f.Token.IsZero() || e.actor.Token == f.Token })
		case 2:
			f.Actions = []string{model.action}
			and(func(e entryTold) bool { return slices.Contains(f.Actions, e.action) })
		case 3:
			word, _, _ := strings.Cut(model.action, ".")
			f.Actions = nil
			for _, kind := range domain.Kinds() {
				if strings.HasPrefix(kind, word+".") {
					f.Actions = append(f.Actions, kind)
				}
			}
			and(func(e entryTold) bool { return slices.Contains(f.Actions, e.action) })
		case 4:
			f.Noun = model.noun
			and(func(e entryTold) bool { return e.noun == f.Noun })
		case 5:
			f.Outcome = []string{Done, RefusedAction}[dice.IntN(2)]
			and(func(e entryTold) bool { return e.outcome == f.Outcome })
		case 6:
			f.Words = model.words[:min(len(model.words), 1+dice.IntN(3))]
			and(func(e entryTold) bool {
				return !slices.ContainsFunc(f.Words, func(w string) bool { return !slices.Contains(e.words, w) })
			})
		case 7:
			if model.target != "" {
				f.Targets = []string{model.target, all[dice.IntN(len(all))].target}
				f.Targets = slices.DeleteFunc(f.Targets, func(t string) bool { return t == "" })
				and(func(e entryTold) bool {
					return slices.ContainsFunc(f.Targets, func(t string) bool { return e.things[t] })
				})
			}
		case 8:
			f.Handle = model.actor.Token
			if id := tokenID(model.target); !id.IsZero() {
				f.Handle = id
			}
			and(func(e entryTold) bool {
				return f.Handle.IsZero() || e.actor.Token == f.Handle || e.things[f.Handle.String()]
			})
		case 9:
			f.From, f.To = model.at, model.at.Add(time.Duration(dice.IntN(400))*time.Hour)
			and(func(e entryTold) bool { return e.at >= f.From && e.at < f.To })
		}
	}
	return f, func(e entryTold) bool {
		return !slices.ContainsFunc(conditions, func(c func(entryTold) bool) bool { return !c(e) })
	}
}

func checkFilter(t *testing.T, v *Views, f AuditFilter, all []entryTold, fits func(entryTold) bool) {
	t.Helper()
	var want []Place
	for _, e := range all {
		if fits(e) {
			want = append(want, e.place)
		}
	}
	f.Oldest = len(want)%2 == 0
	if !f.Oldest {
		slices.Reverse(want)
	}
	var got []Place
	for _, r := range wholeAudit(t, v, f) {
		got = append(got, r.Place)
	}
	same(t, fmt.Sprintf("%+v", f), got, want)
	count, err := v.CountAudit(t.Context(), f)
	if err != nil || count != int64(len(want)) {
		t.Fatalf("%+v: counted %d (%v), want %d", f, count, err, len(want))
	}
}

// What nobody can have written finds nothing, and is no error.
func TestAuditOfNothing(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		for what, f := range map[string]AuditFilter{
			"a thing with a NUL":  {Targets: []string{"a\x00b"}},
			"an action, no text":  {Actions: []string{"\xff"}},
			"an attempt":          {Noun: "' OR 1=1 --"},
			"before the first":    {Before: PlaceOf(1, 0)},
			"behind the last":     {After: PlaceOf(forever, 0)},
			"nothing":             {Nothing: true},
			"a time that is over": {From: 5, To: 4},
			"what is to come":     {From: domain.At(h.now().Add(time.Hour))},
			"a neighbour's token": {Handle: h.theirs.first},
			"a neighbour's owner": {Targets: []string{h.theirs.id.String()}},
		} {
			f.Organization = h.org
			got, err := v.Audit(t.Context(), f)
			count, failed := v.CountAudit(t.Context(), f)
			if len(got) != 0 || err != nil || count != 0 || failed != nil {
				t.Errorf("%s: %d entries (%v), counted %d (%v)", what, len(got), err, count, failed)
			}
		}
		got, err := v.Audit(t.Context(), AuditFilter{Organization: h.neighbour})
		fails(t, "the neighbour's", err, nil)
		for _, r := range got {
			if r.Place.Position() != h.at["neighbour"] {
				t.Errorf("the neighbour sees %s %s", r.Place, r.Action)
			}
		}
	})
}

// Pages that are read while commits come have each entry that was there once.
func TestAuditPagesWhileCommitsCome(t *testing.T) {
	w := newWorld(t)
	w.grow(60)
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		v := viewsOf(here, url)
		want := wholeAudit(t, v, AuditFilter{Organization: w.org, Limit: 1000})
		var got []AuditRow
		for f := (AuditFilter{Organization: w.org, Limit: 7}); ; {
			page, err := v.Audit(t.Context(), f)
			fails(t, "page", err, nil)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			f.Before = page[len(page)-1].Place
			here.issue(w.owner.actor, domain.Administrative, domain.RandomID().String())
			caughtUp(here, v)
		}
		if len(got) != len(want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		for i := range got {
			same(t, "entry", got[i].Place, want[i].Place)
		}
	})
}

// What is erased is found by its address no more, in no organization, and what others
// have done is.
func TestMarksAreErased(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Admin)
	w.issue(bob.actor, domain.Administrative, "one")
	w.issue(w.owner.actor, domain.Administrative, "two")
	other, zed := w.create("other", "zed@example.org")
	c, _ := issuing(domain.Administrative, "three")
	w.in(other, zed.actor, c)
	everywhere(t, func(t *testing.T, url string) {
		v := openViews(t, url)
		end := runViews(t, v, w.store)
		caughtUp(w.here(t), v)
		fails(t, "run", end(), nil)
		counts := func(org domain.OrganizationID) (n int) {
			mark, err := v.AddressMark(t.Context(), org, netip.MustParseAddr("::ffff:192.0.2.1").Unmap())
			fails(t, "mark", err, nil)
			rows, err := v.Audit(t.Context(), AuditFilter{Organization: org, Mark: mark})
			fails(t, "audit", err, nil)
			return len(rows)
		}
		before, theirs := counts(w.org), counts(other)
		if before == 0 || theirs != 1 {
			t.Fatalf("found %d and %d", before, theirs)
		}
		erase := func(id domain.AccountID) {
			tx, err := v.write.BeginTxx(t.Context(), nil)
			fails(t, "begin", err, nil)
			fails(t, "erase", batch{t.Context(), tx, map[string]*sqlx.Stmt{}, nil}.eraseMarks(id), nil)
			fails(t, "commit", tx.Commit(), nil)
		}
		erase(bob.id)
		if got := counts(w.org); got != before-1 {
			t.Errorf("found %d behind the erasure, want %d", got, before-1)
		}
		if erase(zed.id); counts(other) != 0 {
			t.Errorf("the other organization finds %d", counts(other))
		}
	})
}

// Every kind of event says what it is about, and what becomes of it.
func TestAuditKnowsTheVocabulary(t *testing.T) {
	without := map[string]bool{"policy.changed": true, "tokens.revoked": true, "records.removed": true} // a target
	things := map[string]bool{"people": true}
	for _, f := range families {
		things[f.noun] = true
	}
	things["token"] = true
	for _, kind := range domain.Kinds() {
		stored, err := os.ReadFile(filepath.Join("..", "domain", "testdata", "events", kind+".json"))
		fails(t, kind, err, nil)
		e, err := domain.ReadEvent(kind, stored)
		fails(t, kind, err, nil)
		said, err := factsOf(e)
		fails(t, kind, err, nil)
		f := familyOf(kind)
		if !things[f.noun] {
			t.Errorf("%s is about %q", kind, f.noun)
		}
		target := f.target(domain.Meta{Position: 9, Organization: newOrganizationID()}, said)
		if (target == "") != without[kind] {
			t.Errorf("%s is about %s %q", kind, f.noun, target)
		}
		if got := said.name(f); f.people && got != "" {
			t.Errorf("%s keeps the name %q of a person", kind, got)
		}
	}
	for kind := range fieldsChanged {
		if !slices.Contains(domain.Kinds(), kind) {
			t.Errorf("no event is of the kind %s", kind)
		}
	}
}

func TestPlaces(t *testing.T) {
	for text, want := range map[string]Place{"12.0": PlaceOf(12, 0), "12.7": PlaceOf(12, 7), "12": PlaceOf(13, 0) - 1, "0": PlaceOf(1, 0) - 1, "0.0": 0} {
		got, err := ParsePlace(text)
		if err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "1.", ".1", "-1", "+1", "1.x", "1.2.3", "99999999999999999999", "1.1048576", "1e3"} {
		if got, err := ParsePlace(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got := PlaceOf(12, 7).String(); got != "12.7" {
		t.Errorf("it is written %s", got)
	}
}

func TestAuditWords(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for text, want := range map[string][]string{
		"":                          nil,
		"a b c":                     nil,
		"The leak, THE leak! (x)":   {"the", "leak"},
		"ci_runner-7 prod\x00stage": {"ci_runner", "prod", "stage"},
		long:                        {strings.Repeat("ä", longestWord)},
	} {
		same(t, text, AuditWords(text), want)
	}
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprint("word", i))
	}
	same(t, "many", AuditWords(strings.Join(many, " ")), many[:mostWords])
}

// Nothing that the audit log is asked for scans a table or sorts what it finds: each
// filter has its index, on both databases, as their own plans say.
func TestAuditPlans(t *testing.T) {
	w := newWorld(t)
	w.grow(3000)
	org := w.org
	index := map[string]string{ // that leads, on SQLite; PostgreSQL may know a better one of a small table
		"all": "autoindex_audit_1", "account": "of_account", "token": "of_token", "action": "of_action", "family": "of_action", "noun": "of_noun",
		"target": "autoindex_audit_words_1", "word": "autoindex_audit_words_1", "words": "autoindex_audit_words_1", "everything": "autoindex_audit_words_1",
		"refused": "of_refusals", "done": "autoindex_audit_1", "address": "of_mark", "time": "autoindex_audit_1", "pair": "of_account",
	}
	filters := map[string]AuditFilter{
		"pair":       {Account: w.owner.id, Actions: []string{"token.issued"}, From: domain.At(noon), To: domain.At(noon.Add(time.Hour))},
		"all":        {},
		"account":    {Account: w.owner.id},
		"token":      {Token: w.owner.first},
		"action":     {Actions: []string{"token.issued"}},
		"family":     {Actions: []string{"token.issued", "token.revoked"}},
		"target":     {Targets: []string{w.owner.first.String()}},
		"handle":     {Handle: w.owner.first},
		"noun":       {Noun: "token"},
		"refused":    {Outcome: RefusedAction},
		"done":       {Outcome: Done},
		"address":    {Mark: strings.Repeat("0", 32)},
		"word":       {Words: []string{"renamed"}},
		"words":      {Words: []string{"renamed", "token"}},
		"time":       {From: domain.At(noon), To: domain.At(noon.Add(time.Hour))},
		"everything": {Account: w.owner.id, Token: w.owner.first, Actions: []string{"token.issued"}, Noun: "token", Outcome: Done, Words: []string{"token"}, Mark: "0"},
	}
	for name, url := range map[string]string{"SQLite": sqliteURL(t), "PostgreSQL": pgtest.URL(t)} {
		v := viewsOf(w.here(t), url)
		if name == "PostgreSQL" {
			_, err := v.write.Exec("ANALYZE")
			fails(t, "analyze", err, nil)
		}
		for what, f := range filters {
			for _, before := range []Place{0, PlaceOf(1500, 0)} {
				f.Organization, f.Before = org, before
				walks, err := v.walks(t.Context(), f)
				fails(t, what, err, nil)
				for _, walk := range walks {
					plan := planOf(t, v, walk.page(), append(walk.args, 101)...)
					if !strings.Contains(plan, "ndex") && !strings.Contains(plan, "INDEX") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") ||
						strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
						t.Errorf("%s, %s before %s:\n%s\n%s", name, what, before, walk.page(), plan)
					}
					if name == "SQLite" && !strings.Contains(plan, index[what]+" ") {
						t.Errorf("%s before %s goes along another index than %s:\n%s\n%s", what, before, index[what], walk.page(), plan)
					}
				}
			}
		}
		plan := planOf(t, v, firstSince, org, domain.At(noon))
		if strings.Contains(plan, "Sort") || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP") || !strings.Contains(plan, "audit_of_time") {
			t.Errorf("%s, the first since a time:\n%s", name, plan)
		}
	}
}

// What was edited in the tables is not answered: neither an entry nor the commit behind it.
func TestEditedEntriesAreNotShown(t *testing.T) {
	for name, edit := range map[string]string{
		"who did it":  `UPDATE audit SET actor_kind = 'system' WHERE organization = ? AND action = 'member.added'`,
		"when":        `UPDATE audit SET at = at - 1 WHERE organization = ? AND action = 'member.added'`,
		"what":        `UPDATE audit SET action = 'member.removed' WHERE organization = ? AND action = 'member.added'`,
		"the commit":  `UPDATE commits SET data = CAST(REPLACE(CAST(data AS TEXT), '"member"', '"owners"') AS BLOB) WHERE organization = ?`,
		"its removal": `DELETE FROM commits WHERE organization = ? AND position > 1`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.join("mia@example.org", "member")
			v := viewsOf(w, sqliteURL(t))
			_, err := v.Audit(t.Context(), AuditFilter{Organization: w.org})
			fails(t, "before", err, nil)
			changed, err := affected(v.write.Exec(edit, w.org.String()))
			fails(t, "edit", err, nil)
			if changed == 0 {
				t.Fatal("nothing was edited")
			}
			_, err = v.Audit(t.Context(), AuditFilter{Organization: w.org})
			fails(t, "behind", err, ErrViews)
		})
	}
}
