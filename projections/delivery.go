package projections

import (
	"context"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
)

// createDelivery makes the tables of what was sent to webhooks. A rebuild keeps them:
// what a receiver has got is not in the log.
//
// deliveries.position is the last commit of the organization of which everything was
// sent, or given up; item is how many events of the one behind it were.
const createDelivery = `
CREATE TABLE IF NOT EXISTS deliveries (
	organization TEXT   NOT NULL,
	webhook      BIGINT NOT NULL,
	position     BIGINT NOT NULL,
	item         BIGINT NOT NULL,
	delivered    BIGINT NOT NULL,
	waiting      BIGINT NOT NULL,
	tried        BIGINT NOT NULL,
	attempts     BIGINT NOT NULL,
	next_attempt BIGINT NOT NULL,
	version      BIGINT NOT NULL,
	status       BIGINT NOT NULL,
	fault        TEXT   NOT NULL,
	node         TEXT   NOT NULL,
	lease        BIGINT NOT NULL,
	PRIMARY KEY (organization, webhook)
);
CREATE TABLE IF NOT EXISTS dead_letters (
	organization TEXT   NOT NULL,
	webhook      BIGINT NOT NULL,
	position     BIGINT NOT NULL,
	item         BIGINT NOT NULL,
	kind         TEXT   NOT NULL,
	tried        BIGINT NOT NULL,
	died         BIGINT NOT NULL,
	attempts     BIGINT NOT NULL,
	status       BIGINT NOT NULL,
	fault        TEXT   NOT NULL,
	replay       BIGINT NOT NULL,
	PRIMARY KEY (organization, webhook, position, item)
);
CREATE INDEX IF NOT EXISTS dead_letters_to_replay ON dead_letters (organization, webhook) WHERE replay > 0;
CREATE INDEX IF NOT EXISTS deliveries_that_wait ON deliveries (waiting) WHERE waiting > 0;
`

// HookID names a webhook above organizations.
type HookID struct {
	Organization domain.OrganizationID
	Webhook      domain.Position
}

// Delivery is how far a webhook is.
type Delivery struct {
	HookID
	Position  domain.Position // the last commit of which everything is done
	Item      int             // how many events of the one behind it are
	Delivered domain.Instant  // when something was taken last; zero: nothing was

	Waiting  domain.Instant  // when what could not be delivered yet has happened; zero: nothing waits
	Tried    domain.Instant  // when that was tried first
	Attempts int             // how often it was
	Next     domain.Instant  // when it is tried again
	Version  domain.Position // of the webhook when it was tried last

	Status int    // the last answer; 0: there was none
	Fault  string // why that was no success; empty: it was one

	Node  string         // who delivers
	Lease domain.Instant // until when nobody else does
}

func (d *Delivery) fields() []any {
	return []any{
		text{&d.Organization}, &d.Webhook, &d.Position, &d.Item, &d.Delivered, &d.Waiting, &d.Tried, &d.Attempts,
		&d.Next, &d.Version, &d.Status, &d.Fault, &d.Node, &d.Lease,
	}
}

const selectDeliveries = `
SELECT organization, webhook, position, item, delivered, waiting, tried, attempts, next_attempt, version, status, fault, node, lease
FROM deliveries
WHERE organization = ?`

const selectDelivery = selectDeliveries + ` AND webhook = ?`

// Deliveries are how far the webhooks of an organization are. One that has never
// looked for anything to send is not among them.
func (v *Views) Deliveries(ctx context.Context, org domain.OrganizationID) ([]Delivery, error) {
	return list[Delivery](ctx, v, selectDeliveries, org)
}

// Delivery is how far a webhook is. One that has never sent anything stands at the
// commit that has created it.
func (v *Views) Delivery(ctx context.Context, hook HookID) (Delivery, error) {
	found, err := list[Delivery](ctx, v, selectDelivery, hook.Organization, hook.Webhook)
	if err != nil || len(found) > 0 {
		return append(found, Delivery{})[0], err
	}
	return Delivery{HookID: hook, Position: hook.Webhook}, nil
}

const (
	beginDelivery = `
INSERT INTO deliveries (organization, webhook, position, item, delivered, waiting, tried, attempts, next_attempt, version, status, fault, node, lease)
VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, '', '', 0)
ON CONFLICT (organization, webhook) DO NOTHING`

	takeDelivery = `
UPDATE deliveries SET node = ?, lease = ?
WHERE organization = ? AND webhook = ? AND (node = ? OR node = '' OR lease < ?)`
)

// TakeDelivery lets a node deliver to a webhook until a moment, unless another node
// does. The answer is how far it is. Who has taken it moves it on, and gives it back.
//
// Clocks of nodes may differ: by as much as a lease is longer than what is done within.
func (v *Views) TakeDelivery(ctx context.Context, hook HookID, node string, now, until domain.Instant) (d Delivery, taken bool, err error) {
	err = v.deliver(ctx, func(b batch) error {
		if _, err := b.exec(beginDelivery, hook.Organization, hook.Webhook, hook.Webhook); err != nil {
			return err
		}
		n, err := b.exec(takeDelivery, node, until, hook.Organization, hook.Webhook, node, now)
		if err != nil {
			return err
		}
		taken = n == 1
		return b.one(selectDelivery, []any{hook.Organization, hook.Webhook}, d.fields()...)
	})
	return d, taken && err == nil, err
}

const moveDelivery = `
UPDATE deliveries SET position = ?, item = ?, delivered = ?, waiting = ?, tried = ?, attempts = ?, next_attempt = ?, version = ?,
	status = ?, fault = ?, lease = ?
WHERE organization = ? AND webhook = ? AND node = ?`

func (b batch) moveDelivery(d Delivery) (bool, error) {
	n, err := b.exec(moveDelivery, d.Position, d.Item, d.Delivered, d.Waiting, d.Tried, d.Attempts, d.Next, d.Version,
		d.Status, d.Fault, d.Lease, d.Organization, d.Webhook, d.Node)
	return n == 1, err
}

// MoveDelivery writes how far a webhook is. False: another node delivers by now, and
// nothing was written.
func (v *Views) MoveDelivery(ctx context.Context, d Delivery) (held bool, err error) {
	err = v.deliver(ctx, func(b batch) (err error) { held, err = b.moveDelivery(d); return err })
	return held && err == nil, err
}

const releaseDelivery = `
UPDATE deliveries SET node = '', lease = 0
WHERE organization = ? AND webhook = ? AND node = ?`

// ReleaseDelivery gives back what a node has taken.
func (v *Views) ReleaseDelivery(ctx context.Context, hook HookID, node string) error {
	return v.deliver(ctx, func(b batch) error {
		_, err := b.exec(releaseDelivery, hook.Organization, hook.Webhook, node)
		return err
	})
}

// deliver runs do in a transaction, again and again while the database is away.
func (v *Views) deliver(ctx context.Context, do func(batch) error) error {
	return unavailable(insist(ctx, func(ctx context.Context) error {
		return v.within(ctx, func(tx *sqlx.Tx) error { return do(batch{ctx, tx, map[string]*sqlx.Stmt{}, nil}) })
	}, ignore))
}

// DeadLetter is an event that a webhook has given up to deliver.
type DeadLetter struct {
	HookID
	Position domain.Position // of its commit
	Item     int             // which of the commit's events, from 0
	Kind     string
	Tried    domain.Instant // first
	Died     domain.Instant
	Attempts int
	Status   int
	Fault    string
	Replay   domain.Instant // since when it is to be sent again; zero: it is not
}

func (l *DeadLetter) fields() []any {
	return []any{
		text{&l.Organization}, &l.Webhook, &l.Position, &l.Item, &l.Kind, &l.Tried, &l.Died, &l.Attempts, &l.Status, &l.Fault, &l.Replay,
	}
}

const (
	selectDeadLetters = `
SELECT organization, webhook, position, item, kind, tried, died, attempts, status, fault, replay
FROM dead_letters
WHERE organization = ? AND webhook = ?`

	deadLettersPage = selectDeadLetters + `
ORDER BY position, item
LIMIT ?`

	deadLettersToReplay = selectDeadLetters + ` AND replay > 0
ORDER BY position, item
LIMIT ?`
)

// DeadLetters are those of a webhook, the oldest first.
func (v *Views) DeadLetters(ctx context.Context, hook HookID) ([]DeadLetter, error) {
	return list[DeadLetter](ctx, v, deadLettersPage, hook.Organization, hook.Webhook, highestLimit)
}

// ToReplay are the dead letters of a webhook that are to be sent again.
func (v *Views) ToReplay(ctx context.Context, hook HookID) ([]DeadLetter, error) {
	return list[DeadLetter](ctx, v, deadLettersToReplay, hook.Organization, hook.Webhook, usualLimit)
}

const insertDeadLetter = `
INSERT INTO dead_letters (organization, webhook, position, item, kind, tried, died, attempts, status, fault, replay)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (organization, webhook, position, item) DO NOTHING`

// Bury keeps a dead letter and moves its webhook on, both or none. False is as with
// MoveDelivery.
func (v *Views) Bury(ctx context.Context, l DeadLetter, d Delivery) (held bool, err error) {
	err = v.deliver(ctx, func(b batch) (err error) {
		if held, err = b.moveDelivery(d); err != nil || !held {
			return err
		}
		_, err = b.exec(insertDeadLetter, l.Organization, l.Webhook, l.Position, l.Item, l.Kind, l.Tried, l.Died, l.Attempts, l.Status, l.Fault)
		return err
	})
	return held && err == nil, err
}

// EventPlace is where an event stands: in which commit, and which of it.
type EventPlace struct {
	Position domain.Position
	Item     int
}

const (
	replayAll = `
UPDATE dead_letters SET replay = ?
WHERE organization = ? AND webhook = ?`

	replayOne = replayAll + ` AND position = ? AND item = ?`
)

// Replay has dead letters of a webhook sent again: those of some places, or all. It
// answers how many.
func (v *Views) Replay(ctx context.Context, hook HookID, now domain.Instant, places ...EventPlace) (n int, err error) {
	err = v.deliver(ctx, func(b batch) error {
		n = 0
		if len(places) == 0 {
			found, err := b.exec(replayAll, now, hook.Organization, hook.Webhook)
			n = int(found)
			return err
		}
		for _, p := range places {
			found, err := b.exec(replayOne, now, hook.Organization, hook.Webhook, p.Position, p.Item)
			if n += int(found); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

const (
	deleteDeadLetter = `
DELETE FROM dead_letters
WHERE organization = ? AND webhook = ? AND position = ? AND item = ?`

	updateDeadLetter = `
UPDATE dead_letters SET attempts = ?, status = ?, fault = ?, replay = 0
WHERE organization = ? AND webhook = ? AND position = ? AND item = ?`
)

// Replayed says what has become of a dead letter that was sent again: it is gone, or
// it was tried once more.
func (v *Views) Replayed(ctx context.Context, l DeadLetter) error {
	return v.deliver(ctx, func(b batch) error {
		var err error
		if l.Fault == "" {
			_, err = b.exec(deleteDeadLetter, l.Organization, l.Webhook, l.Position, l.Item)
		} else {
			_, err = b.exec(updateDeadLetter, l.Attempts, l.Status, l.Fault, l.Organization, l.Webhook, l.Position, l.Item)
		}
		return err
	})
}

const selectReplays = `
SELECT DISTINCT organization, webhook
FROM dead_letters
WHERE replay > 0`

func (h *HookID) fields() []any { return []any{text{&h.Organization}, &h.Webhook} }

// Replays are the webhooks that have dead letters to be sent again.
func (v *Views) Replays(ctx context.Context) ([]HookID, error) {
	return list[HookID](ctx, v, selectReplays)
}

// Undelivered is what could not be delivered, on all nodes.
type Undelivered struct {
	Since domain.Instant // when the oldest event that waits has happened; zero: none waits
	Dead  int            // letters
}

func (u *Undelivered) fields() []any { return []any{&u.Since, &u.Dead} }

const selectUndelivered = `
SELECT COALESCE((SELECT MIN(waiting) FROM deliveries WHERE waiting > 0), 0), (SELECT COUNT(*) FROM dead_letters)`

// Undelivered is what could not be delivered yet.
func (v *Views) Undelivered(ctx context.Context) (Undelivered, error) {
	return one[Undelivered](ctx, v, "delivery", selectUndelivered)
}

const (
	selectHooks = `
SELECT organization, webhook FROM deliveries`

	forgetDelivery = `
DELETE FROM deliveries
WHERE organization = ? AND webhook = ?`

	forgetDeadLetters = `
DELETE FROM dead_letters
WHERE organization = ? AND webhook = ?`
)

// DeliveredHooks are all webhooks of which it is known how far they are. Those that
// were deleted can be forgotten.
func (v *Views) DeliveredHooks(ctx context.Context) ([]HookID, error) {
	return list[HookID](ctx, v, selectHooks)
}

// ForgetDelivery forgets how far a webhook was, with its dead letters.
func (v *Views) ForgetDelivery(ctx context.Context, hook HookID) error {
	return v.deliver(ctx, func(b batch) error {
		_, err := b.exec(forgetDelivery, hook.Organization, hook.Webhook)
		if err == nil {
			_, err = b.exec(forgetDeadLetters, hook.Organization, hook.Webhook)
		}
		return err
	})
}
