package http

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jeton/domain"
	"jeton/projections"
)

// Deliveries sends the events of organizations to their webhooks, from the second copy
// of the log.
//
// Of one webhook an event is sent when the one before it was taken or given up; one
// webhook never waits for another one's receiver. What was taken is written down before
// the next is sent: whoever crashes in between sends one event again, and loses none.
// Of several nodes with one database one at a time sends to a webhook.
//
// No command waits for any of it, nor does a check: all that is shared with them is the
// database, and of that a transaction for each event.
type Deliveries struct {
	*Server
	Node string        // what this process is called among those that share a database
	Poll time.Duration // how often it is looked for what is due; 0: a second
	// Random is what shakes the times of retries, at least 0 and less than 1. Nil: the
	// system's.
	Random func() float64

	gauged   time.Time // when it was looked last how much waits
	outcomes *prometheus.CounterVec
	oldest   prometheus.Gauge
	dead     prometheus.Gauge

	mu      sync.Mutex
	hooks   map[projections.HookID]*sending
	running int
	began   int           // how many turns, so that each comes first once
	ended   chan struct{} // a turn did
	turns   sync.WaitGroup
}

// sending is what is remembered of a webhook between its turns.
type sending struct {
	running bool
	version domain.Position // of the webhook
	seen    domain.Position // up to here there is nothing for it
	due     domain.Instant  // not before, unless something has changed; zero: when there is more
	rest    domain.Instant  // not before, whatever has changed
}

const (
	manyTurns   = 16 // at once, of all organizations
	manyOfOne   = 4  // of these, of one organization
	turnLetters = 50 // messages in a turn; then others come first
	pollEvery   = time.Second
	leaseFor    = time.Minute // much longer than a request takes
	gaugeEvery  = 30 * time.Second
	skipsAtMost = 1000 // commits without anything to send, before that is written down
)

// Run sends until ctx ends. It is started once.
func (d *Deliveries) Run(ctx context.Context) error {
	if err := d.Model.Loaded(ctx); err != nil {
		return nil // whoever runs the model has said why
	}
	d.hooks, d.ended = map[projections.HookID]*sending{}, make(chan struct{}, 1)
	d.measure()
	defer d.turns.Wait()
	d.forgetDeleted(ctx)
	news := d.listen(ctx)
	tick := time.NewTicker(d.poll())
	defer tick.Stop()
	for {
		d.gauge(ctx)
		d.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-news:
		case <-d.ended:
		}
	}
}

func (d *Deliveries) poll() time.Duration {
	if d.Poll == 0 {
		return pollEvery
	}
	return d.Poll
}

func (d *Deliveries) instant() domain.Instant { return domain.At(d.now()) }

// listen tells when the second copy has more.
func (d *Deliveries) listen(ctx context.Context) <-chan struct{} {
	news := make(chan struct{}, 1)
	d.turns.Go(func() {
		for ctx.Err() == nil {
			at, _ := d.Views.Position()
			wait := gathering
			if d.Views.Wait(ctx, at+1) != nil {
				wait = d.poll() // the database is away
			}
			notify(news)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	})
	return news
}

func notify(channel chan<- struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

// round begins a turn of every webhook that has something to send, as far as there is
// room.
func (d *Deliveries) round(ctx context.Context) {
	replays, err := d.Views.Replays(ctx)
	if err != nil && ctx.Err() == nil {
		return // the database is away; whoever follows the log says so
	}
	hooks := d.Model.Hooks()
	at, _ := d.Views.Position()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(ctx, hooks)
	for i := range hooks {
		h := hooks[(i+d.began)%len(hooks)]
		h.Last = min(h.Last, at) // what the second copy has of it
		if d.running < manyTurns && d.ready(h, slices.Contains(replays, h.ID())) {
			d.start(ctx, h)
		}
	}
	if len(hooks) > 0 {
		d.began = (d.began + 1) % len(hooks)
	}
}

// drop forgets webhooks that there are no more.
func (d *Deliveries) drop(ctx context.Context, hooks []projections.Hook) {
	for id, h := range d.hooks {
		if !h.running && !slices.ContainsFunc(hooks, func(h projections.Hook) bool { return h.ID() == id }) {
			delete(d.hooks, id)
			d.turns.Go(func() { _ = d.Views.ForgetDelivery(ctx, id) }) // else when the next process begins
		}
	}
}

// ready reports whether a webhook has to have a turn now.
func (d *Deliveries) ready(h projections.Hook, replay bool) bool {
	if h.Disabled {
		return false
	}
	s := d.hooks[h.ID()]
	if s == nil {
		s = new(sending)
		d.hooks[h.ID()] = s
	}
	now := d.instant()
	if s.running || s.rest > now {
		return false
	}
	if due := s.due != 0 && s.due <= now; !due && !replay && s.version == h.Changed && (s.due != 0 || h.Last <= s.seen) {
		return false
	}
	ofOne := 0
	for id, other := range d.hooks {
		if other.running && id.Organization == h.Organization {
			ofOne++
		}
	}
	return ofOne < manyOfOne
}

func (d *Deliveries) start(ctx context.Context, h projections.Hook) {
	s := d.hooks[h.ID()]
	s.running, d.running = true, d.running+1
	t := &turn{Deliveries: d, hook: h.ID(), seen: s.seen}
	if s.version != h.Changed {
		t.seen = 0
	}
	d.turns.Go(func() {
		t.run(ctx)
		d.mu.Lock()
		s.running, d.running = false, d.running-1
		s.version, s.seen, s.due, s.rest = h.Changed, t.seen, t.due, t.rest
		d.mu.Unlock()
		notify(d.ended)
	})
}

// turn is one webhook, being sent to.
type turn struct {
	*Deliveries
	hook projections.HookID
	at   projections.Delivery
	held bool
	sent int
	seen domain.Position // up to here nothing is left
	due  domain.Instant  // as sending has it
	rest domain.Instant
	// finish is for what has happened and is to be written down: it ends a while after
	// the turn has to.
	finish context.Context
}

// pauseAfterTrouble is when it is tried again what failed here, and not there.
const pauseAfterTrouble = 5 * time.Second

func (t *turn) run(ctx context.Context) {
	finish, cancel := finishing(ctx)
	defer cancel()
	t.finish = finish
	err := t.deliver(ctx)
	if err != nil && ctx.Err() == nil {
		t.rest = t.instant().Add(pauseAfterTrouble)
		t.Log.Error().Err(err).Stringer("organization", t.hook.Organization).Uint64("webhook", uint64(t.hook.Webhook)).Msg("a webhook could not be served; it is tried again")
	}
	if t.held {
		_ = t.Views.ReleaseDelivery(finish, t.hook, t.Node) // else the lease ends by itself
	}
}

const finishPatience = 10 * time.Second

// finishing ends a while after ctx.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	finish, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(finishPatience, cancel) })
	return finish, func() { stop(); cancel() }
}

// deliver sends what there is for the webhook.
func (t *turn) deliver(ctx context.Context) (err error) {
	upTo, _ := t.Views.Position() // what comes behind it comes in another turn
	if t.at, err = t.Views.Delivery(ctx, t.hook); err != nil {
		return err
	}
	if t.at.Node != t.Node && t.at.Lease > t.instant() {
		t.rest = t.at.Lease + 1
		return nil
	}
	letters, err := t.Views.ToReplay(ctx, t.hook)
	if err != nil {
		return err
	}
	if len(letters) == 0 {
		if none, err := t.nothing(ctx, upTo); err != nil || none {
			return err
		}
	}
	if err := t.take(ctx); err != nil || !t.held {
		return err
	}
	if len(letters) > 0 { // which another node may have sent meanwhile
		if goesOn, err := t.replay(ctx); err != nil || !goesOn {
			return err
		}
	}
	return t.goOn(ctx, upTo)
}

// nothing reports whether there is nothing to be sent now.
func (t *turn) nothing(ctx context.Context, upTo domain.Position) (bool, error) {
	w, wanted := t.webhook()
	if !wanted {
		t.seen = upTo
		return true, nil
	}
	if t.at.Next > t.instant() && t.at.Version == w.Changed {
		t.due = t.at.Next
		return true, nil
	}
	from := projections.EventPlace{Position: t.at.Position, Item: t.at.Item}
	if t.seen > from.Position {
		from = projections.EventPlace{Position: t.seen}
	}
	for skipped := 0; skipped < skipsAtMost; {
		rows, err := t.Views.Commits(ctx, t.hook.Organization, from.Position, pageOfCommits)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			for _, e := range row.Events[min(from.Item, len(row.Events)):] {
				if t.wants(w, e) {
					return false, nil
				}
			}
			from = projections.EventPlace{Position: row.Position}
		}
		if len(rows) < pageOfCommits {
			t.seen = max(upTo, from.Position)
			return true, nil
		}
		skipped += len(rows)
	}
	return false, nil
}

const pageOfCommits = 100

func (t *turn) wants(w domain.Webhook, e domain.Event) bool {
	return t.Server.wants(w, t.hook.Organization, e)
}

// webhook is how the webhook is by now, unless it is not to be sent to.
func (t *turn) webhook() (domain.Webhook, bool) {
	w, known := t.Model.Webhook(t.hook.Organization, t.hook.Webhook)
	return w, known && !w.Disabled
}

// take takes the webhook, unless another node has it.
func (t *turn) take(ctx context.Context) (err error) {
	now := t.instant()
	t.at, t.held, err = t.Views.TakeDelivery(ctx, t.hook, t.Node, now, now.Add(leaseFor))
	if err == nil && !t.held {
		t.rest = t.at.Lease + 1
	}
	return err
}

// prolong keeps the webhook, for longer than the next request takes.
func (t *turn) prolong(ctx context.Context) (err error) {
	if now := t.instant(); t.at.Lease < now.Add(leaseFor/2) {
		t.at.Lease = now.Add(leaseFor)
		t.held, err = t.Views.MoveDelivery(ctx, t.at)
	}
	return err
}

// replay sends dead letters again, each once. False: no more is to be sent now.
func (t *turn) replay(ctx context.Context) (goesOn bool, err error) {
	letters, err := t.Views.ToReplay(ctx, t.hook)
	if err != nil {
		return false, err
	}
	for _, l := range letters {
		row, err := t.Views.Commit(ctx, t.hook.Organization, l.Position)
		if err != nil {
			return false, err
		}
		w, wanted := t.webhook()
		if !wanted || l.Item >= len(row.Events) {
			return false, nil
		}
		status, err := t.send(ctx, w, row, l.Item)
		if err != nil {
			return false, err
		}
		l.Attempts, l.Status, l.Fault = l.Attempts+1, status.code, status.fault
		if err := t.Views.Replayed(t.finish, l); err != nil {
			return false, err
		}
		t.count("replayed")
		if err := t.prolong(ctx); err != nil || !t.held {
			return false, err
		}
	}
	return true, nil
}

// goOn sends what stands behind the place where the webhook is.
func (t *turn) goOn(ctx context.Context, upTo domain.Position) error {
	w, wanted := t.webhook()
	if !wanted || t.at.Next > t.instant() && t.at.Version == w.Changed {
		t.due = t.at.Next
		return nil
	}
	for {
		if err := t.prolong(ctx); err != nil || !t.held {
			return err
		}
		rows, err := t.Views.Commits(ctx, t.hook.Organization, t.at.Position, pageOfCommits)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if goesOn, err := t.commit(ctx, row); err != nil || !goesOn {
				return err
			}
		}
		if len(rows) < pageOfCommits {
			t.seen = max(upTo, t.at.Position)
			return t.write(ctx)
		}
	}
}

// write writes down how far the webhook is.
func (t *turn) write(ctx context.Context) (err error) {
	t.held, err = t.Views.MoveDelivery(ctx, t.at)
	return err
}

// commit sends what the webhook wants of a commit. False: no more is to be sent now.
func (t *turn) commit(ctx context.Context, row projections.CommitRow) (goesOn bool, err error) {
	for item := t.at.Item; item < len(row.Events); item++ {
		w, wanted := t.webhook()
		if !wanted {
			return false, nil
		}
		if !t.wants(w, row.Events[item]) {
			continue
		}
		if t.sent == turnLetters {
			t.due = t.instant() // soon, but others first
			return false, nil
		}
		if err := t.prolong(ctx); err != nil || !t.held {
			return false, err
		}
		if goesOn, err = t.event(ctx, w, row, item); err != nil || !goesOn {
			return false, err
		}
	}
	t.at.Position, t.at.Item = row.Position, 0
	return true, nil
}

// event sends an event and writes down what has become of it. False: no more is to be
// sent now.
func (t *turn) event(ctx context.Context, w domain.Webhook, row projections.CommitRow, item int) (goesOn bool, err error) {
	status, err := t.send(ctx, w, row, item)
	if err != nil {
		return false, err
	}
	t.sent++
	now := t.instant()
	t.at.Status, t.at.Fault, t.at.Version, t.at.Attempts = status.code, status.fault, w.Changed, t.at.Attempts+1
	t.at.Lease = now.Add(leaseFor)
	if t.at.Tried == 0 {
		t.at.Tried = now
	}
	switch next, again := retryAfter(t.at.Tried, now, t.at.Attempts, t.random()); {
	case status.fault == "":
		t.count("delivered")
		t.at.Delivered = now
		t.past(row, item)
		t.held, err = t.Views.MoveDelivery(t.finish, t.at)
		return t.held, err
	case status.code == http.StatusGone:
		t.count("gone")
		t.stop(ctx, w)
		t.at.Waiting, t.at.Tried, t.at.Attempts, t.at.Next = row.Time, 0, 0, 0
		t.rest = now.Add(pauseAfterTrouble) // if it could not be switched off
		return false, t.write(t.finish)
	case again:
		t.count("failed")
		t.at.Waiting, t.at.Next, t.due = row.Time, next, next
		return false, t.write(t.finish)
	}
	t.count("dead")
	letter := projections.DeadLetter{
		HookID: t.hook, Position: row.Position, Item: item, Kind: row.Events[item].Kind(),
		Tried: t.at.Tried, Died: now, Attempts: t.at.Attempts, Status: status.code, Fault: status.fault,
	}
	t.past(row, item)
	t.held, err = t.Views.Bury(t.finish, letter, t.at)
	return t.held, err
}

// past moves the webhook behind an event.
func (t *turn) past(row projections.CommitRow, item int) {
	t.at.Waiting, t.at.Tried, t.at.Attempts, t.at.Next = 0, 0, 0, 0
	if t.at.Item = item + 1; t.at.Item == len(row.Events) {
		t.at.Position, t.at.Item = row.Position, 0
	}
}

// stop switches off a webhook whose receiver says that it is gone.
func (t *turn) stop(ctx context.Context, w domain.Webhook) {
	meta := domain.Meta{Organization: t.hook.Organization, Actor: domain.Actor{Kind: domain.ActorSystem}}
	command := domain.SwitchWebhookOff{Webhook: w.Number, Reason: "the receiver answered 410 Gone", Seen: w.Changed}
	if _, err := t.Model.Execute(ctx, meta, command); err != nil {
		t.Log.Error().Err(err).Stringer("organization", t.hook.Organization).Uint64("webhook", uint64(t.hook.Webhook)).Msg("a webhook could not be switched off; it is tried again")
	}
}

// receipted is what a receiver answered; fault is empty if it has taken the event.
type receipted struct {
	code  int
	fault string
}

func receiptedBy(code int, err error) receipted {
	switch {
	case err != nil:
		return receipted{fault: err.Error()}
	case code < 200 || code > 299:
		return receipted{code, "answered " + strconv.Itoa(code)}
	}
	return receipted{code: code}
}

// send sends an event. An error is about us; what the receiver did is in the answer.
func (t *turn) send(ctx context.Context, w domain.Webhook, row projections.CommitRow, item int) (a receipted, err error) {
	m, err := t.message(ctx, w, row, item)
	if err != nil {
		return a, err
	}
	a, err = t.post(ctx, t.hook, w, m)
	if ctx.Err() != nil { // it was cut off by us
		return a, ctx.Err()
	}
	return a, err
}

func (s *Server) post(ctx context.Context, hook projections.HookID, w domain.Webhook, m message) (receipted, error) {
	header, err := s.webhookHeader(ctx, hook, w, m)
	if err != nil {
		return receipted{}, err
	}
	return receiptedBy(s.outgoing().Post(ctx, w.URL, header, m.Body)), nil
}

// outgoing is what reaches receivers.
func (s *Server) outgoing() *Outgoing {
	if s.Outgoing == nil {
		return publicOnly
	}
	return s.Outgoing
}

var publicOnly = new(Outgoing)

// plainWebhooks reports whether there are networks that may be reached by http.
func (s *Server) plainWebhooks() bool { return len(s.outgoing().Networks) > 0 }

func (d *Deliveries) random() float64 {
	if d.Random == nil {
		return rand.Float64()
	}
	return d.Random()
}

// forgetDeleted forgets what is known of webhooks that were deleted while nobody was
// there to do so.
func (d *Deliveries) forgetDeleted(ctx context.Context) {
	at := d.Model.Position()
	known, err := d.Views.DeliveredHooks(ctx)
	if err != nil {
		return // the next process does it
	}
	hooks := d.Model.Hooks()
	for _, id := range known {
		young := id.Webhook > at // another node has made it, and it is not known here yet
		if !young && !slices.ContainsFunc(hooks, func(h projections.Hook) bool { return h.ID() == id }) {
			_ = d.Views.ForgetDelivery(ctx, id)
		}
	}
}

// measure makes what is told to Prometheus. There are no labels per webhook: their
// number has no bound.
func (d *Deliveries) measure() {
	d.outcomes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jeton_webhook_deliveries_total", Help: "Events sent to webhooks, by what became of it: delivered, failed (and tried again), dead, gone, replayed.",
	}, []string{"outcome"})
	d.oldest = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jeton_webhook_oldest_waiting_seconds", Help: "Age of the oldest event that a webhook could not deliver yet, on all nodes.",
	})
	d.dead = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jeton_webhook_dead_letters", Help: "Events that webhooks have given up to deliver, on all nodes.",
	})
	if d.Metrics != nil {
		d.Metrics.MustRegister(d.outcomes, d.oldest, d.dead)
	}
}

func (d *Deliveries) count(outcome string) { d.outcomes.WithLabelValues(outcome).Inc() }

// gauge looks how much waits. While the database is away it is what it was.
func (d *Deliveries) gauge(ctx context.Context) {
	now := d.now()
	if now.Sub(d.gauged) < gaugeEvery && !d.gauged.IsZero() {
		return
	}
	u, err := d.Views.Undelivered(ctx)
	if err != nil {
		return
	}
	d.gauged = now
	age := time.Duration(0)
	if u.Since != 0 {
		age = now.Sub(u.Since.Time())
	}
	d.oldest.Set(age.Seconds())
	d.dead.Set(float64(u.Dead))
}
