package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Sweep removes chunks that no object has, which a Put that was killed leaves
// behind, if the last of them is older than age. That must be twice Stalled at
// least: then no Put that can still come to a good end is meant.
func (o *JetStreamObjects) Sweep(ctx context.Context, age time.Duration) error {
	if age < 2*o.Stalled {
		return fmt.Errorf("sweep objects: what is %v old may still be written; %v belong", age, 2*o.Stalled)
	}
	before, err := o.leftovers(ctx, age)
	if err != nil || len(before) == 0 {
		return err
	}
	if !pause(ctx, o.log.Confirm) { // a server that takes over may know too little
		return ctx.Err()
	}
	now, err := o.leftovers(ctx, age)
	if err != nil {
		return err
	}
	for subject, at := range now {
		if before[subject] != at {
			continue
		}
		if err := o.purge(ctx, subject); err != nil {
			return fmt.Errorf("sweep objects: %w", err)
		}
	}
	return nil
}

// leftovers are the subjects of chunks that no object has and where their last
// one stands.
func (o *JetStreamObjects) leftovers(ctx context.Context, age time.Duration) (map[string]uint64, error) {
	subjects, err := o.subjects(ctx) // before the names: a Put writes its name last
	if err != nil {
		return nil, fmt.Errorf("sweep objects: %w", unavailable(ctx, err))
	}
	err = o.each(ctx, func(d described) error { delete(subjects, chunkSubject(d.id)); return nil })
	if err != nil {
		return nil, err
	}
	left := map[string]uint64{}
	for subject := range subjects {
		last, err := o.last(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return nil, fmt.Errorf("sweep objects: %w", unavailable(ctx, err))
		case time.Since(last.Time) > age:
			left[subject] = last.Sequence
		}
	}
	return left, nil
}

// subjects are those of all chunks.
func (o *JetStreamObjects) subjects(ctx context.Context) (map[string]uint64, error) {
	stream, err := o.find(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.log.AckWait)
	defer cancel()
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(objectChunks+"*"))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// last is the last message of a subject.
func (o *JetStreamObjects) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, o.log.AckWait)
	defer cancel()
	return o.stream.GetLastMsgForSubject(ctx, subject)
}
