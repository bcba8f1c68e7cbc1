package projections

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// gone waits until a key is gone: nodes delete keys by themselves.
func gone(w *world, keys eventstore.Keys, name string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	for wait := firstPause; ; {
		_, err := keys.Get(ctx, name)
		if err != nil {
			fails(w, "the key "+name, err, eventstore.ErrNoKey)
			return
		}
		if pause(ctx, &wait) != nil {
			w.Fatalf("the key %s is still there", name)
		}
	}
}

// nodeOf is another server with the same log and the same keys.
func (w *world) nodeOf(v *eventstore.Vault) *Model {
	w.Helper()
	m := NewModel(w.store, v, w.now)
	background(w, func(ctx context.Context) error { return m.Run(ctx) })
	fails(w, "load", m.Loaded(w.Context()), nil)
	return m
}

func unlocked(t testing.TB, keys eventstore.Keys) *eventstore.Vault {
	t.Helper()
	v, err := eventstore.OpenVault(t.Context(), keys, eventstore.Master{1})
	fails(t, "open the vault", err, nil)
	return v
}

// TestErasedPerson: where their e-mail was is a pseudonym, where they came from is
// nothing, and of others everything is as before.
func TestErasedPerson(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		usage := new(eventstore.MemoryUsage)
		v, r := viewsOf(w, url), w.model.reporter(usage, "here")
		h, _ := follows(t, v, w.model, usage)
		bob, eve := w.join("bob@example.org", domain.Admin), w.join("eve@example.org", domain.Admin)
		account, _ := w.model.Account(bob.id)
		robot := map[string]domain.TokenID{}
		for name, who := range map[string]somebody{"bob": bob, "eve": eve} {
			meta := w.meta(who.actor)
			meta.Address, meta.Agent = "192.0.2.7", "netscape/4"
			c, _ := issuing(domain.Administrative, name)
			_, err := w.model.Execute(t.Context(), meta, c)
			fails(t, "issue", err, nil)
			robot[name] = c.Token
			w.use(w.model, who.secret, Use{Address: addr("198.51.100.7"), Agent: "netscape/4"})
		}
		flush(t, r)
		h.until(t, 1)
		if got := w.usage(v, bob.first); got.Agent != "netscape/4" || len(got.Networks) != 1 {
			t.Errorf("before: bob's token was used %+v", got)
		}
		caughtUp(w, v)
		for _, row := range allRows(t, v) {
			for _, word := range []string{"bob@", "eve@", "owner@", "netscape", "198.51", "192.0.2"} {
				if strings.Contains(row, word) {
					t.Errorf("%s stands in a table: %s", word, row)
				}
			}
		}

		_, err := w.model.Erase(t.Context(), domain.Meta{Actor: w.owner.actor, Address: "192.0.2.1"}, domain.EraseAccount{Account: bob.id})
		fails(t, "erase", err, nil)
		caughtUp(w, v)
		pseudonym := eventstore.Pseudonym(bob.id)
		for name, want := range map[string]struct {
			email, address, agent string
			uses                  int64
		}{"bob": {pseudonym, "", "", 0}, "eve": {"eve@example.org", "192.0.2.7", "netscape/4", 1}} {
			row := w.row(v, robot[name])
			same(t, name+" as an author", row.IssuedBy.Email, want.email)
			commit, err := v.Commit(t.Context(), w.org, row.Number)
			fails(t, "commit", err, nil)
			same(t, "the commit of "+name, []string{commit.Email, commit.Address, commit.Agent}, []string{want.email, want.address, want.agent})
			first := map[string]somebody{"bob": bob, "eve": eve}[name].first
			same(t, "the uses of "+name, w.usage(v, first).total(), want.uses)
		}
		log, err := v.Commits(t.Context(), domain.OrganizationID{}, 0, 0)
		fails(t, "log", err, nil)
		same(t, "who was registered", fmt.Sprint(log[0].Events[0], log[1].Events[0]),
			fmt.Sprint(domain.AccountRegistered{Account: bob.id, Email: pseudonym}, domain.AccountRegistered{Account: eve.id, Email: "eve@example.org"}))
		found := w.check(w.model, bob.secret)
		same(t, "a check", []any{found.Active(), found.Account.Email}, []any{false, pseudonym})
		same(t, "the number", w.model.AccountEverNumbered(account.Number), bob.id)

		// What is told of them from now on is not kept, and all of it can be made again.
		rows := dump(t, v)
		fails(t, "rebuild", v.Rebuild(t.Context(), w.store, storeID), nil)
		same(t, "rows made again", dump(t, v), rows)
		again := w.join("bob@example.org", domain.Ordinary)
		caughtUp(w, v)
		same(t, "somebody else", w.row(v, again.first).HolderEmail, "bob@example.org")
	})
}

// allRows is all rows, of usage too.
func allRows(t testing.TB, v *Views) []string {
	t.Helper()
	all := dump(t, v)
	for _, table := range []string{"token_usage", "usage_reporters"} {
		rows, err := v.write.QueryxContext(t.Context(), "SELECT * FROM "+table)
		fails(t, table, err, nil)
		for rows.Next() {
			all = append(all, table+line(t, rows))
		}
		fails(t, table, rows.Close(), nil)
	}
	return all
}

// TestEveryNodeErases: also one that has the key in memory, and one that begins later.
func TestEveryNodeErases(t *testing.T) {
	keys := new(eventstore.MemoryKeys)
	w := &world{TB: t, store: new(eventstore.Memory), clock: worldOn(t, new(eventstore.Memory)).clock}
	here, there := unlocked(t, keys), unlocked(t, keys)
	w.model = w.nodeOf(here)
	other := w.nodeOf(there)
	w.org, w.owner = w.found("acme", "owner@example.org")
	bob := w.join("bob@example.org", domain.Ordinary)
	fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	w.above(w.owner.actor, domain.OrganizationID{}, domain.EraseAccount{Account: bob.id}) // and its node dies before it erases
	key := eventstore.AccountKey(bob.id)
	gone(w, keys, key)
	fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	for name, v := range map[string]*eventstore.Vault{"here": here, "there": there} {
		_, err := v.Seal(t.Context(), key, []byte("again"), nil)
		fails(t, name, err, eventstore.ErrErased)
	}
	if found := w.check(other, bob.secret); found.Account.Email != eventstore.Pseudonym(bob.id) {
		t.Errorf("the other node says %q", found.Account.Email)
	}
	begun := w.nodeOf(unlocked(t, keys))
	if found := w.check(begun, bob.secret); found.Account.Email != eventstore.Pseudonym(bob.id) {
		t.Errorf("a node that begins says %q", found.Account.Email)
	}
}

// TestBrokenErasure: the log says that a person is erased, and their key is still there.
// Whoever begins next deletes it.
func TestBrokenErasure(t *testing.T) {
	keys := &stubborn{Keys: new(eventstore.MemoryKeys)}
	w := &world{TB: t, store: new(eventstore.Memory), clock: worldOn(t, new(eventstore.Memory)).clock}
	model := NewModel(w.store, unlocked(t, keys), w.now)
	end := background(t, func(ctx context.Context) error { return model.Run(ctx) })
	fails(t, "load", model.Loaded(t.Context()), nil)
	w.model = model
	w.org, w.owner = w.found("acme", "owner@example.org")
	bob := w.join("bob@example.org", domain.Ordinary)
	keys.away.Store(true)
	_, err := model.Erase(t.Context(), domain.Meta{Actor: w.owner.actor}, domain.EraseAccount{Account: bob.id})
	fails(t, "erase", err, eventstore.ErrUnavailable)
	fails(t, "end", end(), nil)
	keys.away.Store(false)
	_, err = keys.Get(t.Context(), eventstore.AccountKey(bob.id))
	fails(t, "the key", err, nil)
	begun := w.nodeOf(unlocked(t, keys))
	gone(w, keys, eventstore.AccountKey(bob.id))
	if found := w.check(begun, bob.secret); found.Account.Email != eventstore.Pseudonym(bob.id) {
		t.Errorf("a node that begins says %q", found.Account.Email)
	}
	again, err := begun.Erase(t.Context(), domain.Meta{Actor: w.owner.actor}, domain.EraseAccount{Account: bob.id})
	if err != nil || len(again.Events) > 0 {
		t.Errorf("erased again: %v (%v)", again.Events, err)
	}
}

// stubborn keeps its keys while it is away.
type stubborn struct {
	eventstore.Keys
	away atomic.Bool
}

func (k *stubborn) Delete(ctx context.Context, name string) error {
	if k.away.Load() {
		return eventstore.ErrUnavailable
	}
	return k.Keys.Delete(ctx, name)
}

// TestLostKeys: a log whose people's keys are gone is not served as if all were erased.
func TestLostKeys(t *testing.T) {
	w := newWorld(t)
	m := NewModel(w.store, unlocked(t, new(eventstore.MemoryKeys)), w.now)
	fails(t, "run", m.Run(t.Context()), ErrKeysLost)
	fails(t, "load", m.Loaded(t.Context()), ErrKeysLost)
	w.refuses(m, ErrKeysLost)
}

// TestKeysThatAreAway: a node waits for a key that another has made; its state is not
// another one because of that.
func TestKeysThatAreAway(t *testing.T) {
	keys := &late{Keys: new(eventstore.MemoryKeys), away: map[error]int{}}
	w := &world{TB: t, store: new(eventstore.Memory), clock: worldOn(t, new(eventstore.Memory)).clock}
	w.model = w.nodeOf(unlocked(t, keys.Keys))
	w.org, w.owner = w.found("acme", "owner@example.org")
	other := w.nodeOf(unlocked(t, keys))
	keys.away[eventstore.ErrUnavailable], keys.away[eventstore.ErrNoKey] = 2, 2
	bob := w.join("bob@example.org", domain.Ordinary)
	fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	if account, _ := other.Account(bob.id); account.Email != "bob@example.org" {
		t.Errorf("the other node says %q", account.Email)
	}
	if keys.away[eventstore.ErrNoKey] > 0 {
		t.Error("the keys were not asked for")
	}
}

// late says a few times that it has no key.
type late struct {
	eventstore.Keys
	mu   sync.Mutex
	away map[error]int
}

func (k *late) Get(ctx context.Context, name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, err := range []error{eventstore.ErrUnavailable, eventstore.ErrNoKey} {
		if k.away[err] > 0 {
			k.away[err]--
			return nil, err
		}
	}
	return k.Keys.Get(ctx, name)
}

// TestUsageFromBefore: what reports of an older version tell in clear is sealed in the
// tables, and what its tables had in clear is taken away.
func TestUsageFromBefore(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		usage := new(eventstore.MemoryUsage)
		v := viewsOf(w, url)
		h, _ := follows(t, v, w.model, usage)
		report := `{"v":1,"reporter":"` + domain.RandomID().String() + `","number":1,"node":"a","at":"2027-03-01T12:00:00Z","uses":[{"org":"` + w.org.String() +
			`","token":"` + w.owner.first.String() + `","last":"2027-03-01T12:00:00Z","days":{"2027-03-01":1},"networks":[{"network":"192.0.2.0/24","last":"2027-03-01T12:00:00Z"}],"agent":"netscape/4"}]}`
		fails(t, "publish", usage.Publish(t.Context(), "a-1", []byte(report)), nil)
		h.until(t, 1)
		if got := w.usage(v, w.owner.first); got.Agent != "netscape/4" || len(got.Networks) != 1 {
			t.Errorf("the token was used %+v", got)
		}
		for _, row := range allRows(t, v) {
			if strings.Contains(row, "netscape") || strings.Contains(row, "192.0.2") {
				t.Errorf("in clear: %s", row)
			}
		}
		for _, older := range []string{
			"UPDATE token_usage SET networks = '[{\"network\":\"192.0.2.0/24\"}]', agent = 'netscape/4'",
			"UPDATE checkpoint SET schema_version = 3",
		} {
			_, err := v.write.ExecContext(t.Context(), older)
			fails(t, older, err, nil)
		}
		next := openViews(t, url)
		if got := w.usage(next, w.owner.first); got.Agent != "" || len(got.Networks) != 0 || got.total() != 1 {
			t.Errorf("after the migration it was used %+v", got)
		}
	})
}
