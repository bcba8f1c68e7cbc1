package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections/pgtest"
)

const storeID = "the log of the test"

// everywhere runs a test on an empty database of each kind.
func everywhere(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqliteURL(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, pgtest.URL(t)) })
}

func sqliteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "views.db") }

func openViews(t testing.TB, url string) *Views {
	t.Helper()
	v, err := OpenViews(t.Context(), url, vault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func runViews(t testing.TB, v *Views, store eventstore.Store) (end func() error) {
	return background(t, func(ctx context.Context) error { return v.Run(ctx, store, storeID) })
}

// viewsOf has all that the world's log has.
func viewsOf(w *world, url string) *Views {
	w.Helper()
	v := openViews(w, url)
	runViews(w, v, w.store)
	caughtUp(w, v)
	return v
}

func caughtUp(w *world, v *Views) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	for {
		err := v.Wait(ctx, w.last())
		if err == nil {
			return
		}
		if !errors.Is(err, ErrBehind) || ctx.Err() != nil {
			w.Fatal(err)
		}
	}
}

// dump is all rows of all tables, as text that is the same for every database.
func dump(t testing.TB, v *Views) (all []string) {
	t.Helper()
	for _, table := range []string{"checkpoint", "commits", "organizations", "accounts", "members", "service_accounts", "tokens", "engines", "projects", "records", "contents", "audit", "audit_words", "audit_past",
		"turns", "tokens_past", "accounts_versions", "organizations_versions", "members_versions", "service_accounts_versions", "engines_versions"} {
		rows, err := v.write.QueryxContext(t.Context(), "SELECT * FROM "+table+" ORDER BY 1, 2")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			all = append(all, table+line(t, rows))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	return all
}

func line(t testing.TB, rows *sqlx.Rows) (s string) {
	t.Helper()
	columns, err := rows.SliceScan()
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range columns {
		switch value := column.(type) {
		case []byte:
			column = string(value)
		case bool: // SQLite has 0 and 1
			column = map[bool]int{true: 1}[value]
		}
		s += fmt.Sprintf(" %q", fmt.Sprint(column))
	}
	return s
}

// clean is what a log's tables are when nothing ever goes wrong.
func clean(w *world) []string {
	w.Helper()
	return dump(w, viewsOf(w, sqliteURL(w)))
}

func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: (-want +got)\n%s", what, diff)
	}
}

func fails(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func isDamage(t testing.TB, what string, err error, at domain.Position) {
	t.Helper()
	var damage *eventstore.Damage
	if !errors.As(err, &damage) || damage.Position != at {
		t.Fatalf("%s: got %v, want damage at position %d", what, err, at)
	}
}

func TestTheSameRowsInBothDatabases(t *testing.T) {
	w := newWorld(t)
	w.grow(200)
	got := dump(t, viewsOf(w, pgtest.URL(t)))
	same(t, "PostgreSQL against SQLite", got, clean(w))
}

// TestEveryEventHasAView reads the vocabulary, because a kind that is forgotten
// here would stop the views when it is first written.
func TestEveryEventHasAView(t *testing.T) {
	vocabulary, err := os.ReadFile("../domain/vocabulary.go")
	if err != nil {
		t.Fatal(err)
	}
	events, err := os.ReadFile("batch.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`": +read\[(\w+)\]`).FindAllStringSubmatch(string(vocabulary), -1)
	if len(kinds) < 40 {
		t.Fatalf("found only %d kinds in the vocabulary", len(kinds))
	}
	for _, kind := range kinds {
		if !regexp.MustCompile(`domain\.` + kind[1] + `\b`).Match(events) {
			t.Errorf("%s is not written by batch.event", kind[1])
		}
	}
}

func TestHundredsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.grow(2*batchCommits + 7)
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(&world{TB: t, store: w.store}, url)
		at, err := v.Position()
		if at != w.last() || err != nil {
			t.Fatalf("at %d (%v), want %d", at, err, w.last())
		}
		found, err := v.Commits(t.Context(), w.org, w.last()-1, 10)
		if err != nil || len(found) != 1 || found[0].Position != w.last() {
			t.Fatalf("the last commit: got %v (%v)", found, err)
		}
	})
}

// TestInterrupted ends Run at random places and begins again, as a process does
// that is stopped and started.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	w.grow(150)
	want := clean(w)
	everywhere(t, func(t *testing.T, url string) {
		for at, starts := domain.Position(0), 0; at < w.last(); starts++ {
			v := openViews(t, url)
			ctx, cancel := context.WithCancel(t.Context())
			store := stoppingStore{w.store, at + 1 + rand.N[domain.Position](80), cancel}
			if at > w.last()-80 {
				store.after = w.last()
			}
			if err := v.Run(ctx, store, storeID); err != nil {
				t.Fatalf("start %d: %v", starts, err)
			}
			cancel()
			reached, err := v.Position()
			fails(t, "after the end", err, ErrBehind)
			if reached < at {
				t.Fatalf("start %d: went back from %d to %d", starts, at, reached)
			}
			at = reached
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "rows", dump(t, openViews(t, url)), want)
	})
}

// stoppingStore ends its reader's context a moment after it has handed out a commit.
type stoppingStore struct {
	eventstore.Store
	after domain.Position
	stop  func()
}

func (s stoppingStore) Follow(ctx context.Context, from eventstore.Head, do func(eventstore.Record) error) error {
	return s.Store.Follow(ctx, from, func(r eventstore.Record) error {
		err := do(r)
		if r.Position == s.after {
			time.AfterFunc(time.Duration(rand.IntN(15_000))*time.Microsecond, s.stop)
		}
		return err
	})
}

func TestRebuild(t *testing.T) {
	w := newWorld(t)
	w.grow(600)
	everywhere(t, func(t *testing.T, url string) {
		v := openViews(t, url)
		end := runViews(t, v, w.store)
		caughtUp(&world{TB: t, store: w.store}, v)
		before := dump(t, v)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := v.Rebuild(t.Context(), w.store, storeID); err != nil {
			t.Fatal(err)
		}
		same(t, "rows", dump(t, v), before)
	})
}

// TestRebuildUnderRun: the Run of another server notices that the checkpoint went
// back, and helps.
func TestRebuildUnderRun(t *testing.T) {
	w := newWorld(t)
	w.grow(600)
	everywhere(t, func(t *testing.T, url string) {
		here := &world{TB: t, store: w.store}
		v := viewsOf(here, url)
		before := dump(t, v)
		other := openViews(t, url)
		if err := other.Rebuild(t.Context(), w.store, storeID); err != nil {
			t.Fatal(err)
		}
		same(t, "rows", dump(t, v), before)
	})
}

func TestRebuildInterrupted(t *testing.T) {
	w := newWorld(t)
	w.grow(300)
	want := clean(w)
	everywhere(t, func(t *testing.T, url string) {
		v := openViews(t, url)
		end := runViews(t, v, w.store)
		caughtUp(&world{TB: t, store: w.store}, v)
		_ = end()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := v.Rebuild(ctx, stoppingStore{w.store, 1, cancel}, storeID); !errors.Is(err, context.Canceled) && err != nil {
			t.Fatal(err)
		}
		head, _, err := v.Remembered(t.Context())
		if err != nil || head.Position != w.last() {
			t.Fatalf("remembers %d (%v), want %d: a log that went backwards must be found meanwhile", head.Position, err, w.last())
		}
		runViews(t, v, w.store)
		caughtUp(&world{TB: t, store: w.store}, v)
		same(t, "rows", dump(t, v), want)
	})
}

// TestTwoServers have one log and one PostgreSQL, and each applies what comes
// first. Nothing is written twice: the second time would be refused.
func TestTwoServers(t *testing.T) {
	w := newWorld(t)
	w.grow(800)
	url := pgtest.URL(t)
	servers := []*Views{openViews(t, url), openViews(t, url), openViews(t, url)}
	for _, v := range servers {
		runViews(t, v, w.store)
	}
	w.grow(300) // while they run
	for _, v := range servers {
		caughtUp(w, v)
		at, err := v.Position()
		if err != nil || at != w.last() {
			t.Fatalf("at %d (%v), want %d", at, err, w.last())
		}
	}
	same(t, "rows", dump(t, servers[0]), clean(w))
}

// TestTwoServersWithTwoLogs: the checkpoint is where this server left it, but the
// other one came there by another history.
func TestTwoServersWithTwoLogs(t *testing.T) {
	w := newWorld(t)
	everywhere(t, func(t *testing.T, url string) {
		here := &world{TB: t, store: w.store}
		v := viewsOf(here, url)
		tamper(t, v, `UPDATE checkpoint SET chain = ?`, make([]byte, 32))
		last := w.last()
		w.grow(1)
		fails(t, "waiting", v.Wait(t.Context(), w.last()), ErrBehind)
		_, err := v.Position()
		isDamage(t, "two logs", err, last)
	})
}

func TestManyServersMakeTheTablesAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				v, err := OpenViews(t.Context(), url, vault)
				if err != nil {
					t.Error(err)
					return
				}
				if err := v.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

func TestDatabaseAway(t *testing.T) {
	w := newWorld(t)
	w.grow(20)
	proxy := pgtest.NewProxy(t, pgtest.URL(t))
	v := viewsOf(w, proxy.URL)

	proxy.Cut()
	w.grow(50) // the platform goes on
	err := v.Wait(t.Context(), w.last())
	fails(t, "waiting while the database is away", err, ErrBehind)
	_, err = v.Position()
	fails(t, "position while the database is away", err, ErrBehind)
	_, err = v.Tokens(t.Context(), TokenFilter{Organization: w.org})
	fails(t, "asking while the database is away", err, ErrViews)

	proxy.Mend()
	caughtUp(w, v)
	same(t, "rows", dump(t, v), clean(w))
}

// TestDatabaseComesAndGoes cuts the connection at random moments while the log
// is being read, also between a commit of the database and its answer.
func TestDatabaseComesAndGoes(t *testing.T) {
	w := newWorld(t)
	proxy := pgtest.NewProxy(t, pgtest.URL(t))
	v := viewsOf(w, proxy.URL)
	for range 30 {
		w.grow(20)
		proxy.Cut()
		w.grow(1)
		proxy.Mend()
	}
	caughtUp(w, v)
	same(t, "rows", dump(t, v), clean(w))
}

// TestSQLiteLocked: what another process does to the file may keep the views
// from writing, and only for as long.
func TestSQLiteLocked(t *testing.T) {
	w := newWorld(t)
	url := sqliteURL(t)
	v := viewsOf(w, url)
	other := openViews(t, url)
	tx, err := other.write.Beginx() // _txlock=immediate: it may write, nobody else
	if err != nil {
		t.Fatal(err)
	}
	w.grow(5)
	fails(t, "waiting while the file is locked", v.Wait(t.Context(), w.last()), ErrBehind)
	if rows, err := v.Tokens(t.Context(), TokenFilter{Organization: w.org}); err != nil || len(rows) != 1 {
		t.Fatalf("reading while another writes: %d rows (%v), want 1", len(rows), err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	caughtUp(w, v)
}

// stops runs the views of a log and gives the error that ends them.
func stops(t *testing.T, v *Views, store eventstore.Store, id string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := v.Run(ctx, store, id)
	if err == nil {
		t.Fatal("Run did not stop")
	}
	_, behind := v.Position()
	fails(t, "position behind a stop", behind, ErrBehind)
	fails(t, "position behind a stop", behind, err)
	return err
}

func TestStops(t *testing.T) {
	token := domain.TokenID{ID: domain.RandomID()}
	bad := map[string]struct {
		entry func(t *testing.T, w *world) eventstore.Entry
		want  string
	}{
		"a kind of event that is unknown": {want: "needs a newer version", entry: func(*testing.T, *world) eventstore.Entry {
			id := domain.RandomCommandID()
			return eventstore.Entry{ID: id, Boundary: "x", Data: fmt.Appendf(nil, `{"v":1,"id":%q,"at":"2027-03-01T12:00:00Z","by":{"kind":"system"},"events":[{"kind":"token.forged","data":{}}]}`, id)}
		}},
		"bytes that are no commit": {want: "invalid character", entry: func(*testing.T, *world) eventstore.Entry {
			return eventstore.Entry{ID: domain.RandomCommandID(), Boundary: "x", Data: []byte("rubbish")}
		}},
		"an event about what is not there": {want: "token.revoked", entry: func(t *testing.T, w *world) eventstore.Entry {
			return encoded(t, w.org, domain.TokenRevoked{Token: token})
		}},
		"an event about what is there already": {want: "organization.created", entry: func(t *testing.T, w *world) eventstore.Entry {
			return encoded(t, w.org, domain.OrganizationCreated{Organization: w.org, Alias: "again", Name: "Again"})
		}},
	}
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, url string) {
				w := newWorld(t)
				v := openViews(t, url)
				before := w.last()
				w.entry(c.entry(t, w), 0)
				w.entry(encoded(t, w.org, domain.OperatorNamed{}), 0)
				for range 2 { // starting again does not help
					err := stops(t, v, w.store, storeID)
					if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), fmt.Sprint("commit ", before+1)) {
						t.Fatalf("got %v, want %q and commit %d", err, c.want, before+1)
					}
				}
				if at, _ := v.Position(); at > before {
					t.Fatalf("at %d, want at most %d: nothing is skipped", at, before)
				}
			})
		})
	}
}

func encoded(t testing.TB, org domain.OrganizationID, events ...domain.Event) eventstore.Entry {
	t.Helper()
	e, err := eventstore.Encode(domain.Commit{
		Meta:     domain.Meta{Command: domain.RandomCommandID(), Organization: org, Time: domain.At(noon)},
		Boundary: domain.Boundary(domain.RandomCommandID().String()), Events: events,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// followed are views that have the world's log and have stopped.
func followed(t *testing.T, w *world, url string) *Views {
	t.Helper()
	v := openViews(t, url)
	end := runViews(t, v, w.store)
	caughtUp(&world{TB: t, store: w.store}, v)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return v
}

// logUpTo is a log with the first commits of another.
func logUpTo(t *testing.T, store eventstore.Store, last domain.Position) *eventstore.Memory {
	t.Helper()
	part := new(eventstore.Memory)
	ended := errors.New("enough")
	ends := map[domain.Boundary]domain.Position{}
	err := store.Follow(t.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		if r.Position > last {
			return ended
		}
		at, err := part.Append(t.Context(), r.Entry, ends[r.Boundary])
		ends[r.Boundary] = at
		return err
	})
	fails(t, "copying a log", err, ended)
	return part
}

func TestDamage(t *testing.T) {
	w := newWorld(t)
	w.grow(30)
	last := w.last()
	everywhere(t, func(t *testing.T, url string) {
		v := followed(t, w, url)
		before := dump(t, v)

		isDamage(t, "the log of somebody else", stops(t, v, w.store, "another log"), 1)
		isDamage(t, "a log that went backwards", stops(t, v, logUpTo(t, w.store, last-2), storeID), last-1)
		isDamage(t, "a log that went back by one", stops(t, v, logUpTo(t, w.store, last-1), storeID), last)
		other := newWorld(t)
		other.grow(40)
		// Memory says so of the head before the checkpoint, which is read from there.
		isDamage(t, "another history", stops(t, v, other.store, storeID), last-1)
		isDamage(t, "another history, of a log that does not look", stops(t, v, trusting{other.store}, storeID), last)

		for what, err := range map[string]error{
			"rebuild from the log of somebody else":  v.Rebuild(t.Context(), w.store, "another log"),
			"rebuild from a log that went backwards": v.Rebuild(t.Context(), logUpTo(t, w.store, last-2), storeID),
		} {
			var damage *eventstore.Damage
			if !errors.As(err, &damage) {
				t.Errorf("%s: got %v, want damage", what, err)
			}
		}
		same(t, "rows after all that", dump(t, v), before)
	})
}

// trusting is a log like JetStream, which can't tell whether a head was ever its own.
type trusting struct{ eventstore.Store }

func (s trusting) Follow(ctx context.Context, from eventstore.Head, do func(eventstore.Record) error) error {
	head := from
	return s.Store.Follow(ctx, eventstore.Head{}, func(r eventstore.Record) error {
		if r.Position <= from.Position {
			return nil
		}
		r = head.Next(r.Entry)
		head = r.Head()
		return do(r)
	})
}

// TestCheckpointOfAnotherHistory: the bytes of the last commit are compared, not
// only the position.
func TestCheckpointOfAnotherHistory(t *testing.T) {
	w := newWorld(t)
	w.grow(10)
	everywhere(t, func(t *testing.T, url string) {
		v := followed(t, w, url)
		tamper(t, v, `UPDATE checkpoint SET chain = ?`, make([]byte, 32))
		isDamage(t, "the chain of the checkpoint", stops(t, v, w.store, storeID), w.last())
	})
}

func tamper(t testing.TB, v *Views, statement string, args ...any) {
	t.Helper()
	if n, err := affected(v.write.ExecContext(t.Context(), v.write.Rebind(statement), args...)); err != nil || n == 0 {
		t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

func TestSecondCopyDiffers(t *testing.T) {
	w := newWorld(t)
	w.grow(10)
	for what, statement := range map[string]string{
		"chain":    `UPDATE commits SET chain = ? WHERE position = 7`,
		"data":     `UPDATE commits SET data = ? WHERE position = 7`,
		"boundary": `UPDATE commits SET boundary = ? WHERE position = 7`,
	} {
		everywhere(t, func(t *testing.T, url string) {
			v := followed(t, w, url)
			var value any = make([]byte, 32)
			if what == "boundary" {
				value = "elsewhere"
			}
			tamper(t, v, statement, value)
			isDamage(t, what, v.Rebuild(t.Context(), w.store, storeID), 7)
			isDamage(t, what+", when Run goes on", stops(t, v, w.store, storeID), 7)
		})
	}
}

func TestSchemaVersions(t *testing.T) {
	w := newWorld(t)
	w.grow(10)
	everywhere(t, func(t *testing.T, url string) {
		v := followed(t, w, url)
		before := dump(t, v)

		tamper(t, v, `UPDATE checkpoint SET schema_version = ?`, schemaVersion-1)
		tamper(t, v, `DELETE FROM tokens`) // whatever the older version had there
		older := followed(t, w, url)
		same(t, "rows of an older version", dump(t, older), before)

		tamper(t, v, `UPDATE checkpoint SET schema_version = ?`, schemaVersion+1)
		if _, err := OpenViews(t.Context(), url, vault); err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Fatalf("open tables of a younger version: got %v", err)
		}
		if err := stops(t, v, w.store, storeID); !strings.Contains(err.Error(), "newer version") {
			t.Fatalf("run on tables of a younger version: got %v", err)
		}
	})
}

func TestRemembered(t *testing.T) {
	w := newWorld(t)
	everywhere(t, func(t *testing.T, url string) {
		v := openViews(t, url)
		head, id, err := v.Remembered(t.Context())
		if head != (eventstore.Head{}) || id != "" || err != nil {
			t.Fatalf("empty views remember %v of %q (%v)", head, id, err)
		}
		v = followed(t, w, url)
		head, id, err = v.Remembered(t.Context())
		if head.Position != w.last() || head.Chain.IsZero() || id != storeID || err != nil {
			t.Fatalf("got %v of %q (%v), want position %d of %q", head, id, err, w.last(), storeID)
		}
		worldOn(t, w.store, head) // the model agrees
		again := openViews(t, url)
		if at, err := again.Position(); at != w.last() || err != nil {
			t.Fatalf("opened again at %d (%v), want %d", at, err, w.last())
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	v := viewsOf(w, sqliteURL(t))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	fails(t, "waiting for what does not come", v.Wait(ctx, w.last()+1), context.Canceled)
}

func TestOpenViewsRefuses(t *testing.T) {
	for _, url := range []string{
		"", "mysql://u:hunter2@db/x", "hunter2", "postgres://u:hunter2@[::1/x", "postgres://u:hunter2%@db/x",
		"postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", "postgres://u:hunter2@db:port/x",
		"sqlite:/no/such/directory/views.db",
	} {
		v, err := OpenViews(t.Context(), url, vault)
		if err == nil {
			t.Errorf("%q was opened", url)
			_ = v.Close()
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
}

// TestSQLiteIsPrivate: the file has e-mails and the whole log.
func TestSQLiteIsPrivate(t *testing.T) {
	w := newWorld(t)
	url := "sqlite:" + filepath.Join(t.TempDir(), "a ?strange#name%20.db")
	viewsOf(w, url)
	files, err := filepath.Glob(filepath.Dir(url[len("sqlite:"):]) + "/*")
	if err != nil || len(files) != 3 {
		t.Fatalf("got %q (%v), want the file, its log and its index", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v), want 0600", name, info.Mode(), err)
		}
	}
}
