package eventstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// Following is pulling: a request to a consumer of the server, which sends up to
// so many messages or, after CheckEvery, word that there are none. Whatever goes
// wrong, from a lost message to a restarted server, ends the session; the next
// one begins behind the last record handed out.
//
// The server is not believed to send all there is. It passes over a message that
// it cannot read as if it had never been, and may wait for ever in front of it.
// So positions are counted here, and whenever nothing comes the log is inspected.

// Follow implements Store. It trusts the chain of from: whoever keeps heads
// compares them with what a reading from the beginning comes to. Errors of the
// connection do not end it, unless the connection is closed for good.
func (s *JetStream) Follow(ctx context.Context, from Head, do func(Record) error) error {
	r := reader{JetStream: s, head: from, do: do}
	for {
		before := r.head
		err := r.session(ctx)
		var final final
		switch {
		case errors.As(err, &final):
			return final.error
		case ctx.Err() != nil:
			return ctx.Err()
		case s.js.Conn().IsClosed():
			return fmt.Errorf("%w: %w", ErrUnavailable, nats.ErrConnectionClosed)
		}
		if r.head == before {
			pause(ctx, s.CheckEvery/10)
		}
	}
}

// final is an error that ends Follow and not only a session.
type final struct{ error }

// reader is one Follow.
type reader struct {
	*JetStream
	head Head
	last Record // the record handed out last; none yet: position 0
	do   func(Record) error
}

// session follows the log with one consumer until something goes wrong.
func (r *reader) session(ctx context.Context) error {
	if err := r.inspect(ctx, r.lookBack); err != nil {
		return err
	}
	p, err := r.subscribe(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	for {
		if err := r.pull(ctx, p); err != nil {
			return err
		}
	}
}

// pull takes one answer to one request. If it is empty the log is inspected.
func (r *reader) pull(ctx context.Context, p *puller) error {
	if err := p.request(); err != nil {
		return err
	}
	for n := 0; n < r.PullMessages; n++ {
		m, err := p.next(ctx)
		switch {
		case errors.Is(err, errPullEnded) && n == 0:
			return r.inspect(ctx, r.lookAhead)
		case errors.Is(err, errPullEnded):
			return nil
		case err != nil:
			return err
		}
		if err := r.take(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// errGap: the server left something out, and its consumer will not go back.
var errGap = errors.New("a position was passed over")

// take hands a delivered message out if it is the next one.
func (r *reader) take(ctx context.Context, m *nats.Msg) error {
	at, ok := position(m.Reply)
	switch {
	case !ok:
		return fmt.Errorf("a delivery with the reply subject %q", m.Reply)
	case at <= r.head.Position: // lookAhead was faster
		return nil
	case at > r.head.Position+1:
		return cmp.Or(r.inspect(ctx, r.lookAhead), errGap)
	}
	return r.hand(m.Subject, m.Header, m.Data)
}

// hand gives the next record to whoever follows.
func (r *reader) hand(subject string, header nats.Header, data []byte) error {
	e, err := entry(subject, header, data)
	if err != nil {
		return final{&Damage{r.head.Position + 1, "it is not a commit: " + err.Error()}}
	}
	record := r.head.Next(e)
	if err := r.do(record); err != nil {
		return final{err}
	}
	r.head, r.last = record.Head(), record
	return nil
}

// inspect looks at the log and hands out the record that look finds, if any.
// Damage must be seen twice.
func (r *reader) inspect(ctx context.Context, look func(context.Context) (*jetstream.RawStreamMsg, error)) error {
	for confirmed := false; ; confirmed = true {
		next, err := look(ctx)
		damage := (*Damage)(nil)
		switch {
		case err == nil && next == nil:
			return nil
		case err == nil:
			return r.hand(next.Subject, next.Header, next.Data)
		case !errors.As(err, &damage):
			return err
		case confirmed:
			return final{damage}
		case !pause(ctx, r.Confirm):
			return ctx.Err()
		}
	}
}

// lookBack checks that what was read still ends with the same record: a server
// that was away may come back with less and fill it up with something else.
func (r *reader) lookBack(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	if _, err := r.end(ctx); err != nil || r.last.Position == 0 {
		return nil, err
	}
	last, err := r.get(ctx, r.last.Position)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, &Damage{r.last.Position, "the commit was there and cannot be read any more"}
	case err == nil && !same(last, r.last):
		return nil, otherHistory(r.last.Position)
	}
	return nil, err
}

// lookAhead fetches the next message, nil if the log ends here.
func (r *reader) lookAhead(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	end, err := r.end(ctx)
	if err != nil || end == r.head.Position {
		return nil, err
	}
	next, err := r.get(ctx, r.head.Position+1)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, &Damage{r.head.Position + 1, fmt.Sprintf("the commit cannot be read, and the log ends at %d", end)}
	}
	return next, err
}

// end is where the log ends. A log that is gone, another one, not whole, or
// shorter than what was read is *Damage.
func (r *reader) end(ctx context.Context) (domain.Position, error) {
	info, err := r.info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, &Damage{1, "the whole log is gone"}
	case err != nil:
		return 0, err
	}
	state, end := info.State, domain.Position(info.State.LastSeq)
	switch {
	case info.Config.Metadata[keyStoreID] != r.id:
		return 0, &Damage{1, "another log stands in its place"}
	case state.FirstSeq > 1:
		return 0, &Damage{1, fmt.Sprintf("the log begins at %d", state.FirstSeq)}
	case end < r.head.Position:
		return 0, wentBackwards(end, r.head.Position)
	case state.NumDeleted > 0:
		return 0, r.hole(ctx)
	}
	return end, nil
}

// hole is the damage of a log that says itself that something is missing.
func (r *reader) hole(ctx context.Context) error {
	info, err := r.info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return err
	}
	if len(info.State.Deleted) == 0 {
		return errors.New("the log has a hole, and then it has none")
	}
	missing := info.State.Deleted
	return &Damage{domain.Position(missing[0]), fmt.Sprintf("%d commits are missing from there on", len(missing))}
}

func wentBackwards(end, head domain.Position) *Damage {
	return &Damage{end + 1, fmt.Sprintf("the log went backwards: it ends at %d and was read up to %d", end, head)}
}

func otherHistory(at domain.Position) *Damage {
	return &Damage{at, "the log tells another history: the commit is not the one that was read"}
}

// puller is a consumer on the server and the channel on which it answers.
type puller struct {
	conn     *nats.Conn
	consumer string // its name
	api      string // prefix of the server's subjects
	body     []byte // of every request
	inbox    string // prefix of every reply subject
	pulls    int
	messages chan *nats.Msg
	sub      *nats.Subscription
	status   chan nats.Status // a renewed or closed connection
	patience time.Duration
	timer    *time.Timer
}

// subscribe begins to read behind head. The consumer lives in the server's
// memory and acknowledges nothing. It has its name from here, so that it can be
// deleted also if the server's answer to its creation is not heard.
func (r *reader) subscribe(ctx context.Context) (*puller, error) {
	p, err := r.newPuller("follow-" + rand.Text())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.AckWait)
	defer cancel()
	_, err = r.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Name:              p.consumer,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       uint64(r.head.Position) + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (r *reader) newPuller(consumer string) (*puller, error) {
	conn := r.js.Conn()
	body, err := json.Marshal(map[string]int64{
		"batch": int64(r.PullMessages), "max_bytes": int64(r.PullBytes), "expires": int64(r.CheckEvery),
	})
	if err != nil {
		return nil, err
	}
	p := &puller{
		conn:     conn,
		consumer: consumer,
		api:      apiPrefix(r.js.Options()),
		body:     body,
		inbox:    conn.NewInbox() + ".",
		messages: make(chan *nats.Msg, r.PullMessages+100), // and words of the server
		patience: r.CheckEvery + r.AckWait,
		timer:    time.NewTimer(time.Hour),
	}
	if p.sub, err = conn.ChanSubscribe(p.inbox+"*", p.messages); err != nil {
		return nil, err
	}
	p.status = conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	return p, nil
}

func apiPrefix(o jetstream.JetStreamOptions) string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return o.APIPrefix + "."
	}
	return jetstream.DefaultAPIPrefix
}

// close leaves nothing behind, here and on the server, and waits for nobody.
func (p *puller) close() {
	p.timer.Stop()
	p.conn.RemoveStatusListener(p.status)
	_ = p.sub.Unsubscribe()                                                     // the connection may be closed already
	_ = p.conn.Publish(p.api+"CONSUMER.DELETE."+streamName+"."+p.consumer, nil) // else it is forgotten in a minute
}

// request asks for more. Each request has a reply subject of its own, so that the
// last word to an earlier one is not taken for the last word to this.
func (p *puller) request() error {
	p.pulls++
	return p.conn.PublishRequest(p.api+"CONSUMER.MSG.NEXT."+streamName+"."+p.consumer, p.reply(), p.body)
}

func (p *puller) reply() string { return p.inbox + strconv.Itoa(p.pulls) }

var (
	// errPullEnded: the request is answered; there is no more, or not so much.
	errPullEnded = errors.New("the request is answered")
	// errSilence: the server has not even said that there is nothing.
	errSilence = errors.New("the server is silent")
	// errReconnected: the server has forgotten what was requested of it.
	errReconnected = errors.New("the connection was renewed")
)

// next is the next message of the log, or errPullEnded.
func (p *puller) next(ctx context.Context) (*nats.Msg, error) {
	for {
		m, err := p.receive(ctx)
		switch {
		case err != nil:
			return nil, err
		case m.Reply != "":
			return m, nil
		case m.Subject != p.reply():
			continue
		case m.Header.Get("Nats-Pending-Messages") != "": // the consumer lives and says how many it did not send
			return nil, errPullEnded
		}
		return nil, fmt.Errorf("the server ended the session: %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
	}
}

// receive waits for whatever comes. Messages that are there go before all else
// but the end of ctx.
func (p *puller) receive(ctx context.Context) (*nats.Msg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case m := <-p.messages:
		return m, nil
	default:
	}
	p.timer.Reset(p.patience)
	select {
	case m := <-p.messages:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.status:
		return nil, errReconnected
	case <-p.timer.C:
		return nil, errSilence
	}
}
