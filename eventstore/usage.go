package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Usage is where nodes tell each other how tokens were used. It is a stream
// beside the log and no history: it forgets what is old or too much, and whether
// it is full, slow or gone, the log does not notice. MemoryUsage and
// JetStreamUsage keep it; eventstoretest.RunUsage says what both promise.
type Usage interface {
	// Publish stores a report under an id, which is one word of at most MaxReportID
	// letters, digits, - and _. A report that is published again with the same id
	// within two minutes is stored once; so that is the answer to ErrUnknown and
	// ErrUnavailable. A report larger than MaxReport is ErrTooLarge.
	Publish(ctx context.Context, id string, report []byte) error

	// Follow hands every report behind after (a sequence; they rise from 1) to
	// do, in order and none twice, first those that are there and then those that
	// come, until ctx ends or do fails. What the stream has forgotten is left out.
	//
	// If the stream ends before after, then it was lost: it was made again, or has
	// only the beginning of what it had. Nobody can tell which, and of the latter
	// all is counted. So it goes on with what comes from now on, although a few
	// reports may be missed: missed is better than counted twice. The sequences
	// are lower than after from then on. Whoever keeps one to come back with
	// keeps the last one, not the highest.
	Follow(ctx context.Context, after uint64, do func(seq uint64, report []byte) error) error
}

// What a report may be, so that any NATS server takes it: half of what one takes
// if nobody tells it otherwise.
const (
	MaxReport   = 512 << 10 // bytes
	MaxReportID = 64        // letters
)

// checkReport refuses what no store of reports takes.
func checkReport(id string, report []byte) error {
	switch {
	case id == "" || len(id) > MaxReportID || strings.ContainsFunc(id, notInWord):
		return fmt.Errorf("report usage: id %q is not one word of at most %d letters, digits, - and _", id, MaxReportID)
	case len(report) > MaxReport:
		return fmt.Errorf("report usage: %d bytes: %w", len(report), ErrTooLarge)
	}
	return nil
}

const (
	usageName    = "JETON_USAGE"
	usageSubject = "jeton-usage" // not below the log's
	usageSchema  = "1"           // changes when messages are laid out another way
	usageAge     = 40 * 24 * time.Hour
	usageBytes   = 1 << 30
)

// usageConfig differs from the log's where usage is no history: the oldest makes
// room for the newest, and of the storage that both share it takes usageBytes at
// most. The server refuses to make it where it has not so much.
func usageConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              usageName,
		Subjects:          []string{usageSubject},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		Compression:       jetstream.NoCompression,
		Replicas:          replicas,
		MaxConsumers:      -1,
		MaxMsgs:           -1,
		MaxBytes:          usageBytes,
		MaxAge:            usageAge,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		Duplicates:        2 * time.Minute,
		PersistMode:       jetstream.DefaultPersistMode,
		Metadata:          map[string]string{keySchema: usageSchema},
	}
}

// JetStreamUsage is usage on the server or cluster of a log. It talks to it as
// patiently as the log does.
type JetStreamUsage struct{ log *JetStream }

// OpenUsage opens the usage beside a log. If it is missing it is made, on as many
// replicas as the log: unlike a lost log, lost usage has nothing to be kept for.
// How much it keeps and for how long is the operators' to change. If any other
// setting is not the one it was made with the error names it.
func OpenUsage(ctx context.Context, beside *JetStream) (*JetStreamUsage, error) {
	u := &JetStreamUsage{beside}
	stream, err := u.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := assertUsage(stream.Config); err != nil {
		return nil, err
	}
	return u, nil
}

// open makes the stream if it is missing. To make one that another node has made
// meanwhile does nothing.
func (u *JetStreamUsage) open(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := u.stream(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return u.create(ctx)
	}
	return stream, err
}

// stream is the usage's stream as it is now.
func (u *JetStreamUsage) stream(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, u.log.AckWait)
	defer cancel()
	stream, err := u.log.js.Stream(ctx, usageName)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", usageName, err)
	}
	return stream.CachedInfo(), nil
}

// create says what making a stream takes: who may not make one gets no answer.
func (u *JetStreamUsage) create(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, u.log.AckWait)
	defer cancel()
	replicas := u.log.stream.CachedInfo().Config.Replicas
	stream, err := u.log.js.CreateStream(ctx, usageConfig(replicas))
	if err != nil {
		subject := apiPrefix(u.log.js.Options()) + "STREAM.CREATE." + usageName
		return nil, fmt.Errorf("make stream %s, which is missing: %w; the user must be allowed to publish to %s, and %d MiB of storage must be free",
			usageName, err, subject, usageBytes>>20)
	}
	return stream.CachedInfo(), nil
}

// assertUsage compares all of the configuration but the limits.
func assertUsage(got jetstream.StreamConfig) error {
	got.Metadata = withoutServerKeys(got.Metadata)
	want := usageConfig(got.Replicas)
	want.MaxAge, want.MaxBytes, want.MaxMsgs = got.MaxAge, got.MaxBytes, got.MaxMsgs
	different := differences(reflect.ValueOf(got), reflect.ValueOf(want))
	if len(different) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s is not configured for usage: %s", usageName, strings.Join(different, "; "))
}

// Publish implements Usage. It sends the report once: who called knows better
// whether it is worth another try.
func (u *JetStreamUsage) Publish(ctx context.Context, id string, report []byte) error {
	if err := checkReport(id, report); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, answer, err := u.log.publish(ctx, &nats.Msg{
		Subject: usageSubject,
		Data:    report,
		Header:  nats.Header{jetstream.MsgIDHeader: {id}},
	})
	switch {
	case err == nil: // stored now or, by the same id, before
		return nil
	case answer == refused:
		return fmt.Errorf("report usage: %w", err)
	}
	return fmt.Errorf("report usage: %w: %w", ErrUnknown, err)
}

// Follow implements Usage. Errors of the connection do not end it, unless the
// connection is closed for good. A stream that is lost meanwhile is made again.
func (u *JetStreamUsage) Follow(ctx context.Context, after uint64, do func(seq uint64, report []byte) error) error {
	r := usageReader{u, after, do}
	for {
		before := r.after
		err := r.session(ctx)
		var final final
		switch {
		case errors.As(err, &final):
			return final.error
		case ctx.Err() != nil:
			return ctx.Err()
		case u.log.js.Conn().IsClosed():
			return fmt.Errorf("%w: %w", ErrUnavailable, nats.ErrConnectionClosed)
		}
		if r.after == before {
			pause(ctx, u.log.CheckEvery/10)
		}
	}
}

// usageReader is one Follow. Unlike the log's reader it lets the server leave
// something out, which usage may, and only sees to it that what was sent is heard.
type usageReader struct {
	*JetStreamUsage
	after uint64 // the report handed out last
	do    func(seq uint64, report []byte) error
}

// session follows with one consumer until something goes wrong.
func (r *usageReader) session(ctx context.Context) error {
	if err := r.locate(ctx); err != nil {
		return err
	}
	consumer, err := r.subscribe(ctx)
	if err != nil {
		return err
	}
	defer r.unsubscribe(consumer)
	for heard := uint64(0); ; {
		before := heard
		if heard, err = r.pull(ctx, consumer, heard); err != nil {
			return err
		}
		if heard == before {
			if err := r.inspect(ctx); err != nil {
				return err
			}
		}
	}
}

// locate finds where the stream can go on and makes it if it is missing. That it
// ends before after or is missing must be seen twice: a server that stops, or was
// cut off from the others, tells of less than there is, and to believe it is to
// count again. A server that deletes a stream says that it is missing before its
// files are out of the way of another.
func (r *usageReader) locate(ctx context.Context) error {
	end := uint64(math.MaxUint64) // nobody knows
	switch stream, err := r.stream(ctx); {
	case errors.Is(err, jetstream.ErrStreamNotFound):
	case err != nil:
		return err
	case r.proceed(stream.State):
		return nil
	default:
		end = stream.State.LastSeq
	}
	if !pause(ctx, r.log.Confirm) {
		return ctx.Err()
	}
	stream, err := r.open(ctx)
	if err == nil && !r.proceed(stream.State) {
		r.after = min(end, stream.State.LastSeq)
	}
	return err
}

// proceed reports whether the stream goes on behind after, which it moves to where
// that is: nobody waits for what is forgotten.
func (r *usageReader) proceed(s jetstream.StreamState) bool {
	if s.LastSeq < r.after {
		return false
	}
	r.after = max(r.after+1, s.FirstSeq) - 1
	return true
}

// subscribe makes a consumer behind after. It lives in the server's memory and
// acknowledges nothing.
func (r *usageReader) subscribe(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.log.AckWait)
	defer cancel()
	return r.log.js.CreateConsumer(ctx, usageName, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.after + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
}

// unsubscribe waits for nobody. A consumer that is not deleted is forgotten in a
// minute; whose connection is closed has no other way.
func (r *usageReader) unsubscribe(c jetstream.Consumer) {
	api := apiPrefix(r.log.js.Options())
	_ = r.log.js.Conn().Publish(api+"CONSUMER.DELETE."+usageName+"."+c.CachedInfo().Name, nil)
}

// pullReports bounds, with MaxReport, what a follower has in memory unread.
const pullReports = 32

// pull asks once, for as long as CheckEvery, and hands out what comes. Heard is
// how much the consumer has sent before and, then, by now.
func (r *usageReader) pull(ctx context.Context, c jetstream.Consumer, heard uint64) (uint64, error) {
	soon, cancel := context.WithTimeout(ctx, r.log.CheckEvery)
	defer cancel()
	batch, err := c.Fetch(pullReports, jetstream.FetchContext(soon))
	if err != nil {
		return heard, err
	}
	for m := range batch.Messages() {
		if err := r.take(ctx, m, heard); err != nil {
			return heard, err
		}
		heard++
	}
	if err := batch.Error(); !errors.Is(err, context.DeadlineExceeded) {
		return heard, err
	}
	return heard, nil
}

// take hands a report out unless the consumer has sent others in between, which
// got lost: it will not send them again, so another one must.
func (r *usageReader) take(ctx context.Context, m jetstream.Msg, heard uint64) error {
	delivery, err := m.Metadata()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case delivery.Sequence.Consumer != heard+1:
		return errGap
	case delivery.Sequence.Stream <= r.after:
		return nil
	}
	if err := r.do(delivery.Sequence.Stream, m.Data()); err != nil {
		return final{err}
	}
	r.after = delivery.Sequence.Stream
	return nil
}

// inspect ends a session that does not hear what is there, or whose stream is not
// what it was.
func (r *usageReader) inspect(ctx context.Context) error {
	stream, err := r.stream(ctx)
	if err == nil && stream.State.LastSeq != r.after {
		err = errGap
	}
	return err
}
