package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// ErrUnfinished: a restore or a repair into this log broke off. Nobody serves from it;
// it can be gone on with, or be taken away.
var ErrUnfinished = errors.New("this log is being restored, or was and it broke off")

// keyUnfinished marks a log that has not all of its commits yet. Open refuses it.
const keyUnfinished = "unfinished"

// Unfinished is a log that is being made from a copy. Until Finish nobody else opens
// it, whenever that breaks off.
type Unfinished struct {
	*JetStream
	after map[domain.Boundary]domain.Position
	head  Head
}

// CreateUnfinished makes a log to fill, or takes one that was begun before. A log that
// is finished is ErrLogExists.
func CreateUnfinished(ctx context.Context, js jetstream.JetStream, replicas int) (*Unfinished, error) {
	if !allowedReplicas(replicas) {
		return nil, fmt.Errorf("create the log: %d replicas; one or three belong", replicas)
	}
	config := streamConfig(newStoreID(), replicas)
	config.Metadata[keyUnfinished] = "true"
	stream, err := js.CreateStream(ctx, config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = js.Stream(ctx, streamName)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("create the log: %w", err)
	case !unfinished(stream.CachedInfo().Config):
		return nil, ErrLogExists
	}
	return &Unfinished{newJetStream(js, stream), map[domain.Boundary]domain.Position{}, Head{}}, nil
}

func unfinished(c jetstream.StreamConfig) bool { return c.Metadata[keyUnfinished] != "" }

// Add adds the next record, exactly as it was: at its position, behind the commit of
// its boundary that it stood behind. One that is there already, of a try before, is
// not added again.
func (u *Unfinished) Add(ctx context.Context, r Record) error {
	if next := u.head.Next(r.Entry); next.Head() != r.Head() {
		return &Damage{r.Position, "what is to be restored does not follow from what was before"}
	}
	at, err := u.Append(ctx, r.Entry, u.after[r.Boundary])
	switch {
	case errors.Is(err, ErrConflict), err == nil && at != r.Position:
		return fmt.Errorf("commit %d: the log that was begun has other commits; take it away, and begin anew: %w", r.Position, ErrConflict)
	case err != nil:
		return fmt.Errorf("commit %d: %w", r.Position, err)
	}
	u.after[r.Boundary], u.head = at, r.Head()
	return nil
}

// Prove reads the whole log back and compares what it is with what was added.
func (u *Unfinished) Prove(ctx context.Context, want Head) error {
	last, err := u.Last(ctx)
	if err != nil {
		return err
	}
	if last != want.Position {
		return &Damage{min(last, want.Position) + 1, fmt.Sprintf("the log has commits up to %d and should have them up to %d", last, want.Position)}
	}
	var head Head
	err = ReadUpTo(ctx, u, last, func(r Record) error { head = r.Head(); return nil })
	switch {
	case err != nil:
		return err
	case head != want:
		return otherHistory(head.Position)
	}
	return nil
}

var errRead = errors.New("all is read")

// ReadUpTo hands the records of a log up to a position to do.
func ReadUpTo(ctx context.Context, s Store, last domain.Position, do func(Record) error) error {
	if last == 0 {
		return nil
	}
	err := s.Follow(ctx, Head{}, func(r Record) error {
		if err := do(r); err != nil || r.Position < last {
			return err
		}
		return errRead
	})
	if errors.Is(err, errRead) {
		return nil
	}
	return err
}

// Finish gives the log free.
func (u *Unfinished) Finish(ctx context.Context) error {
	info, err := u.info(ctx)
	if err != nil {
		return unavailable(ctx, err)
	}
	config := info.Config
	config.Metadata = withoutServerKeys(config.Metadata)
	delete(config.Metadata, keyUnfinished)
	if _, err := u.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("finish the log: %w", err)
	}
	u.stream, err = u.js.Stream(ctx, streamName)
	return err
}
