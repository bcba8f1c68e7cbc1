package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
)

var (
	// ErrViews: the database of the views cannot be asked now.
	ErrViews = errors.New("the views are not available")
	// ErrBehind: the views do not go on now, so that nobody can wait for them.
	// Whether they will again, once the database is back, or have stopped, is in
	// the errors behind it.
	ErrBehind = errors.New("the views are behind")
)

// Views is the view that people ask: tables in SQLite or PostgreSQL. Run keeps
// them up with the log. Several servers may have one log and one PostgreSQL.
type Views struct {
	write, read *sqlx.DB
	vault       *eventstore.Vault // opens what the tables have sealed
	following   progress
	skips       skips
}

// OpenViews opens the database that a URL names, "sqlite:/path/file.db" or
// "postgres://…", and makes its tables if they are missing or of an older version.
// Those of a younger version are refused. No error shows the URL. The vault may be
// unlocked later, before rows are asked for.
func OpenViews(ctx context.Context, url string, vault *eventstore.Vault) (*Views, error) {
	v, err := connect(url)
	if err != nil {
		return nil, err
	}
	v.vault = vault
	at, err := v.prepare(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the views: %w", err), v.Close())
	}
	v.following.resume(at.Position)
	return v, nil
}

// Close gives the database back. Run must have ended.
func (v *Views) Close() error { return errors.Join(v.read.Close(), v.write.Close()) }

// Wait blocks until the views have everything up to a position. While the
// database is away, and after Run has ended, it is ErrBehind at once.
func (v *Views) Wait(ctx context.Context, until domain.Position) error {
	return v.following.wait(ctx, until)
}

// Position is how far the views are and, if they do not go on, why: ErrBehind.
func (v *Views) Position() (domain.Position, error) { return v.following.now() }

// Remembered is the furthest commit that the views have ever had, and the store
// whose log they follow. Both are zero before the first. During a rebuild it is
// the end of the second copy, so that a log that went backwards is still found.
func (v *Views) Remembered(ctx context.Context) (eventstore.Head, string, error) {
	at, err := v.checkpoint(ctx)
	if err != nil {
		return eventstore.Head{}, "", unavailable(err)
	}
	return at.furthest(), at.StoreID, nil
}

// Run follows the log from the checkpoint until ctx ends, which is no error.
// While the database is away it tries again and again. What ends it: a log that
// is damaged or not the one the views were made from (eventstore.Damage), a
// commit that cannot be read or written, tables that a younger version has taken
// over. What was written by then stays, and no commit is ever skipped.
func (v *Views) Run(ctx context.Context, store eventstore.Store, storeID string) error {
	at, _ := v.Position()
	v.following.resume(at)
	f := follower{Views: v, store: store, storeID: storeID, until: forever, trees: newTrees()}
	err := f.run(ctx)
	v.following.fail(fmt.Errorf("%w: %w", ErrBehind, cmp.Or(ctx.Err(), err)))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Rebuild forgets the rows of all views and reads the log again, up to where it
// ends now. The second copy stays and is held against the log on the way: if they
// differ the answer is eventstore.Damage. What is interrupted goes on with Run.
// Until it is done, lists show an earlier time.
func (v *Views) Rebuild(ctx context.Context, store eventstore.Store, storeID string) error {
	f := follower{Views: v, store: store, storeID: storeID, trees: newTrees()}
	if err := f.load(ctx); err != nil {
		return err
	}
	last, err := f.last(ctx)
	if err != nil {
		return err
	}
	if err := v.forget(ctx); err != nil {
		return unavailable(err)
	}
	f.until = last
	return f.run(ctx)
}

// unavailable says of a failure that it is the database's; nil stays nil.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrViews, err)
}
