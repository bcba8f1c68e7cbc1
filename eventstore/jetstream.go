package eventstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// JetStream is the log on a JetStream server or cluster, in this process or
// elsewhere. Create and Open make one. The fields may be changed before it is
// used for the first time.
type JetStream struct {
	// AckWait is how long one question to the server may take.
	AckWait time.Duration
	// Patience is how long an append without an answer is sent again and asked
	// for before it becomes ErrUnknown. The log takes it once at most.
	Patience time.Duration
	// CheckEvery is how often a follower that hears nothing asks whether the log
	// is still what it read.
	CheckEvery time.Duration
	// Confirm is how long a damage must last before it is believed: servers that
	// stop or take over the lead say "not found" of what they have.
	Confirm time.Duration
	// FailureLasts is how long a failed write makes Healthy complain if no write
	// has succeeded since.
	FailureLasts time.Duration
	// PullMessages and PullBytes bound what a follower has in memory unread.
	PullMessages, PullBytes int

	js      jetstream.JetStream
	stream  jetstream.Stream
	id      string
	failure atomic.Pointer[failure]
}

// failure is a write that nobody answered, and when.
type failure struct {
	err error
	at  time.Time
}

func newJetStream(js jetstream.JetStream, stream jetstream.Stream) *JetStream {
	config := stream.CachedInfo().Config
	s := &JetStream{
		AckWait:      5 * time.Second,
		Patience:     15 * time.Second,
		CheckEvery:   3 * time.Second,
		Confirm:      time.Second,
		FailureLasts: time.Minute,
		PullMessages: 5000,
		PullBytes:    16 << 20,

		js: js, stream: stream, id: config.Metadata[keyStoreID],
	}
	if config.Replicas > 1 {
		s.Confirm = 10 * time.Second // as long as a leader that was cut off believes in itself
	}
	return s
}

// StoreID names this log for ever. Another log, be it a restored copy that went
// on by itself, should have another.
func (s *JetStream) StoreID() string { return s.id }

// Append implements Store. The entry carries its id and the position it stands
// behind, so sending it again is safe. Of the answers only an acknowledgement and
// a refusal are final; after any other the log itself is asked what stands
// behind after.
//
// On several replicas the server may refuse an append because another one of the
// same boundary is on its way, which may come to nothing; it also says so now and
// then right after an acknowledgement. That is tried again, within Patience. If
// it stays so the answer is ErrConflict with nothing new to follow: wait a moment
// and append again.
func (s *JetStream) Append(ctx context.Context, e Entry, after domain.Position) (domain.Position, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	a := attempt{JetStream: s, entry: e, after: after, message: message(e, after), unanswered: ErrConflict}
	for wait, end := time.Millisecond, time.Now().Add(s.Patience); ; wait = min(2*wait, maxWait) {
		at, err, settled := a.try(ctx)
		if settled {
			return at, err
		}
		if time.Now().After(end) || !pause(ctx, wait) {
			return 0, s.giveUp(ctx, a.unanswered)
		}
	}
}

// maxWait is the longest pause between two tries of an append.
const maxWait = 250 * time.Millisecond

// giveUp is the error of an append that nobody settled.
func (s *JetStream) giveUp(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%w: %w", err, ended)
	}
	if errors.Is(err, ErrUnknown) {
		s.failure.Store(&failure{err, time.Now()})
	}
	return err
}

// attempt is an append and what is known of it.
type attempt struct {
	*JetStream
	entry   Entry
	after   domain.Position
	message *nats.Msg
	// unanswered is the error if no further try settles it: ErrConflict, until
	// a try may have reached the log.
	unanswered error
}

// try sends the entry and, unless the answer is final, asks what became of it.
func (a *attempt) try(ctx context.Context) (at domain.Position, err error, settled bool) {
	at, answer, err := a.publish(ctx, a.message)
	switch answer {
	case accepted:
		a.failure.Store(nil)
		return at, nil, true
	case refused:
		if errors.Is(a.unanswered, ErrUnknown) {
			return 0, nil, false // this one was not taken; the one before may have been
		}
		return 0, err, true
	case silent:
		a.unanswered = fmt.Errorf("%w: %w", ErrUnknown, err)
	case stale, busy:
	}
	return a.find(ctx, answer)
}

// find asks what stands behind after: this entry, another, or nothing.
func (a *attempt) find(ctx context.Context, answer answer) (at domain.Position, err error, settled bool) {
	m, err := a.get(ctx, a.after+1, jetstream.WithGetMsgSubject(a.message.Subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		// Stale with nothing behind after: the boundary ends before after, or
		// the id belongs to an entry elsewhere. Else it may still come.
		return 0, ErrConflict, answer == stale
	case err != nil:
		a.unanswered = fmt.Errorf("%w: %w", ErrUnknown, err)
		return 0, nil, false
	case !is(m, a.entry, a.after):
		return 0, ErrConflict, true
	}
	return domain.Position(m.Sequence), nil, true
}

// get reads a message from whoever leads the log; direct reads are off.
func (s *JetStream) get(ctx context.Context, at domain.Position, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.AckWait)
	defer cancel()
	return s.stream.GetMsg(ctx, uint64(at), opts...)
}

// info asks for the log's state and configuration. It does not ask s.stream, which
// would take over the configuration, and read directly if somebody allowed it.
func (s *JetStream) info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, s.AckWait)
	defer cancel()
	stream, err := s.js.Stream(ctx, streamName)
	switch {
	case err != nil:
		return nil, err
	case len(opts) > 0:
		return stream.Info(ctx, opts...)
	}
	return stream.CachedInfo(), nil
}

// answer is what a server said to an append.
type answer int

const (
	silent   answer = iota // nothing, or nothing that says whether it was taken
	accepted               // it is on disk
	refused                // it was not taken and never will be
	stale                  // something else stands where it wants to stand
	busy                   // one of the same boundary or id is on its way
)

// The server's error codes for which the client has no name.
const (
	codeAccountResources = 10002
	codeClusterNotAvail  = 10008
	codeInsufficient     = 10023
	codeStorageResources = 10047
	codeStoreFailed      = 10077
	codeStreamSealed     = 10109
	codeStreamOffline    = 10118
	codeDuplicateOnWay   = 10158
	codeTooManyRequests  = 10167
)

// publish sends a message once and sorts the answer. A refusal comes with the
// error that Append has for it.
func (s *JetStream) publish(ctx context.Context, m *nats.Msg) (domain.Position, answer, error) {
	if !s.js.Conn().IsConnected() {
		return 0, refused, fmt.Errorf("%w: no connection", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, s.AckWait)
	defer cancel()
	ack, err := s.js.PublishMsg(ctx, m)
	if err != nil {
		answer, err := sortAnswer(err)
		return 0, answer, err
	}
	if ack.Duplicate { // the sequence belongs to whoever had the id first
		return 0, stale, nil
	}
	return domain.Position(ack.Sequence), accepted, nil
}

// sortAnswer says what an error of a publish means for the message.
func sortAnswer(err error) (answer, error) {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return sortCode(api)
	case errors.Is(err, nats.ErrMaxPayload):
		return refused, ErrTooLarge
	case errors.Is(err, jetstream.ErrNoStreamResponse), // nobody there to take it
		errors.Is(err, nats.ErrReconnectBufExceeded), // never left
		errors.Is(err, nats.ErrConnectionDraining):
		return refused, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return silent, err
}

// sortCode does so by the server's code. A write that fails on disk has none:
// the server says nothing then.
func sortCode(api *jetstream.APIError) (answer, error) {
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence:
		return stale, api
	case jetstream.JSErrCodeStreamWrongLastSequenceConstant, codeDuplicateOnWay:
		return busy, api
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return refused, ErrTooLarge
	case codeAccountResources, codeClusterNotAvail, codeInsufficient, codeStorageResources, codeStoreFailed,
		codeStreamSealed, codeStreamOffline, codeTooManyRequests:
		return refused, fmt.Errorf("%w: %w", ErrUnavailable, api)
	}
	return silent, api
}

// Last implements Store.
func (s *JetStream) Last(ctx context.Context) (domain.Position, error) {
	info, err := s.info(ctx)
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	return domain.Position(info.State.LastSeq), nil
}

// Healthy reports why the log cannot be written as far as one can know without
// writing: it cannot be reached, it is another one or configured another way
// than when it was opened, or the last append had no answer.
func (s *JetStream) Healthy(ctx context.Context) error {
	info, err := s.info(ctx)
	if err != nil {
		return unavailable(ctx, err)
	}
	if id := info.Config.Metadata[keyStoreID]; id != s.id {
		return fmt.Errorf("the log is %q and was %q", id, s.id)
	}
	if err := assertConfig(info.Config); err != nil {
		return err
	}
	if f := s.failure.Load(); f != nil && time.Since(f.at) < s.FailureLasts {
		return f.err
	}
	return nil
}

// unavailable is the error of a question that was not answered.
func unavailable(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// pause waits and reports whether ctx allowed it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
