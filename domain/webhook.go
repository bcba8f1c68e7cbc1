package domain

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Webhook is an address to which an organization has its events sent.
type Webhook struct {
	Number Position
	Announcement
	Disabled bool
	// Generation is which secret it has, from 1. The one before signs, too, until
	// Previous.
	Generation int
	Previous   Instant
	Created    Instant
	Changed    Position
}

// Announcement is what is sent where. It is kept as it was given: which headers
// there are is sealed, and only who has the keys can tell.
type Announcement struct {
	Name   string       `json:"name"`
	URL    string       `json:"url"`
	Shape  WebhookShape `json:"shape"`
	Events []string     `json:"events,omitempty"`
	// Headers are those of each request, sealed for Origin: no secret, and of no use
	// elsewhere.
	Headers []byte `json:"headers,omitempty"`
}

// WebhookShape is how an event is written.
type WebhookShape string

const (
	// StandardWebhook is a CloudEvent by the rules of Standard Webhooks. Its Events are
	// kinds (token.issued) or all of a noun (token.*); none: all there are.
	StandardWebhook WebhookShape = "standard"
	// SIEMWebhook is as the audit settings of Database Lab have it. Its Events are the
	// names of SIEMEvents; none: none.
	SIEMWebhook WebhookShape = "siem"
)

// SIEMEvents are the names of events that Database Lab sends to a SIEM.
var SIEMEvents = []string{"orgs", "users_orgs", "api_tokens", "dblab_instances", "joe_instances", "joe_messages", "chats", "dblab_clone"}

const (
	// MaxWebhooks is how many webhooks an organization can have at once.
	MaxWebhooks = 20
	// WebhookOverlap is how long a secret signs that was replaced.
	WebhookOverlap = 24 * time.Hour

	maxWebhookEvents  = 100
	maxWebhookHeaders = 16 << 10 // bytes, sealed
)

// Origin is what headers of a request are sealed for: whoever gives a webhook another
// address must know them, too.
func (a Announcement) Origin() string {
	u, err := url.Parse(a.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// Wants reports whether an event of a kind is sent. It is for webhooks that choose by
// kind.
func (a Announcement) Wants(kind string) bool {
	return len(a.Events) == 0 || slices.ContainsFunc(a.Events, func(pattern string) bool { return matchesKind(pattern, kind) })
}

func matchesKind(pattern, kind string) bool {
	if noun, all := strings.CutSuffix(pattern, ".*"); all {
		return strings.HasPrefix(kind, noun+".")
	}
	return pattern == kind
}

// CheckAnnouncement is check, for whoever only tries.
func CheckAnnouncement(a Announcement, plain bool) error { return a.check(plain) }

// check refuses an address that cannot be one. plain: the platform may send to
// networks of its own, where there may be no certificates.
func (a Announcement) check(plain bool) error {
	if err := checkName("name", a.Name); err != nil {
		return err
	}
	if err := checkWebhookURL(a.URL, plain); err != nil {
		return err
	}
	if a.Shape != StandardWebhook && a.Shape != SIEMWebhook {
		return Invalid("shape", "%q is no shape of a webhook", "choose standard or siem", clip(string(a.Shape)))
	}
	if len(a.Headers) > maxWebhookHeaders {
		return Invalid("headers", "are too long", "send fewer or shorter ones")
	}
	return a.checkEvents()
}

func checkWebhookURL(text string, plain bool) error {
	if err := checkLine("url", text, MaxDescription); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.Contains(text, "#") || u.Scheme != "https" && u.Scheme != "http" {
		return Invalid("url", "is no address of a receiver", "write it like https://receiver.example.org/jeton, without a user and a fragment")
	}
	if u.Scheme == "http" && !plain {
		return Invalid("url", "is not encrypted", "use https, or ask the operator to allow the network of the receiver")
	}
	return nil
}

var kindPattern = regexp.MustCompile(`^[a-z]+(_[a-z]+)*\.([a-z]+(_[a-z]+)*|\*)$`)

// checkEvents refuses what could never happen.
func (a Announcement) checkEvents() error {
	if len(a.Events) > maxWebhookEvents {
		return Invalid("events", "are %d", "name fewer: token.* is all about tokens", len(a.Events))
	}
	for _, pattern := range a.Events {
		if a.Shape == SIEMWebhook && !slices.Contains(SIEMEvents, pattern) {
			return Invalid("events", "%q is no event of a SIEM", "choose among "+strings.Join(SIEMEvents, ", "), clip(pattern))
		}
		if a.Shape == StandardWebhook && !happens(pattern) {
			return Invalid("events", "%q is no kind of event", "write it like token.issued, or token.* for all about tokens", clip(pattern))
		}
	}
	return nil
}

func happens(pattern string) bool {
	if !kindPattern.MatchString(pattern) {
		return false
	}
	for kind := range vocabulary {
		if matchesKind(pattern, kind) {
			return true
		}
	}
	return false
}

func (a Announcement) same(b Announcement) bool {
	return a.Name == b.Name && a.URL == b.URL && a.Shape == b.Shape && slices.Equal(a.Events, b.Events) && bytes.Equal(a.Headers, b.Headers)
}

func (a Announcement) plain() Announcement {
	a.Events = none(unique(a.Events))
	return a
}

// Webhooks are those of the organization, the oldest first.
func (o *Organization) Webhooks() []Webhook { return slices.Clone(o.webhooks) }

// Webhook is the webhook with a number.
func (o *Organization) Webhook(number Position) (Webhook, bool) {
	i := slices.IndexFunc(o.webhooks, func(w Webhook) bool { return w.Number == number })
	if i < 0 {
		return Webhook{}, false
	}
	return o.webhooks[i], true
}

func (o *Organization) webhook(number Position) (Webhook, error) {
	w, known := o.Webhook(number)
	if !known {
		return w, Refuse(ErrNotFound, "there is no such webhook", "look at the list of webhooks")
	}
	return w, nil
}

// freeWebhook refuses a name that another webhook has.
func (o *Organization) freeWebhook(name string, but Position) error {
	if slices.ContainsFunc(o.webhooks, func(w Webhook) bool { return w.Name == name && w.Number != but }) {
		return taken("name", "there is a webhook %q already", "choose another name", name)
	}
	return nil
}

// changeWebhook changes a webhook in a list of its own: a state that was handed out
// stays as it is.
func (o *Organization) changeWebhook(number Position, m Meta, change func(*Webhook)) {
	o.webhooks = slices.Clone(o.webhooks)
	for i := range o.webhooks {
		if w := &o.webhooks[i]; w.Number == number {
			change(w)
			w.Changed = m.Position
		}
	}
}

// CreateWebhook has events sent to an address, from the next commit on.
type CreateWebhook struct {
	Announcement
	Disabled bool
	Plain    bool // http will do: the platform allows networks of its own
}

// Decide refuses one webhook too many, and a name that another one has.
func (c CreateWebhook) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, WebhooksWrite); err != nil {
		return nil, err
	}
	if err := c.check(c.Plain); err != nil {
		return nil, err
	}
	if err := o.freeWebhook(c.Name, 0); err != nil {
		return nil, err
	}
	if len(o.webhooks) >= MaxWebhooks {
		return nil, Refuse(ErrState, "there are %d webhooks, and no more fit", "delete one, or let one receive more kinds of events", MaxWebhooks)
	}
	events := []Event{WebhookCreated{c.Announcement.plain()}}
	if c.Disabled {
		events = append(events, WebhookSwitched{Disabled: true})
	}
	return events, nil
}

// UpdateWebhook changes a webhook. Nil leaves a thing as it is.
type UpdateWebhook struct {
	Webhook  Position
	Name     *string
	URL      *string
	Events   *[]string
	Headers  *[]byte // empty: none
	Disabled *bool
	Plain    bool
	Seen     Position
}

// Decide refuses to send headers that were given for one origin to another one:
// whoever may change the address may not know them.
func (c UpdateWebhook) Decide(o *Organization, m Meta) (events []Event, err error) {
	if err := o.allows(m, WebhooksWrite); err != nil {
		return nil, err
	}
	w, err := o.webhook(c.Webhook)
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, w.Changed); err != nil {
		return nil, err
	}
	wanted := c.wanted(w.Announcement).plain()
	if !wanted.same(w.Announcement) {
		if err := c.checkChange(o, w, wanted); err != nil {
			return nil, err
		}
		events = append(events, WebhookChanged{w.Number, wanted})
	}
	if c.Disabled != nil && *c.Disabled != w.Disabled {
		events = append(events, WebhookSwitched{Webhook: w.Number, Disabled: *c.Disabled})
	}
	return events, nil
}

func (c UpdateWebhook) wanted(a Announcement) Announcement {
	if c.Name != nil {
		a.Name = *c.Name
	}
	if c.URL != nil {
		a.URL = *c.URL
	}
	if c.Events != nil {
		a.Events = *c.Events
	}
	if c.Headers != nil {
		a.Headers = none(*c.Headers)
	}
	return a
}

func (c UpdateWebhook) checkChange(o *Organization, w Webhook, wanted Announcement) error {
	// An address that is not to be changed may be one that the platform allowed once.
	if err := wanted.check(c.Plain || wanted.URL == w.URL); err != nil {
		return err
	}
	if c.Headers == nil && len(wanted.Headers) > 0 && wanted.Origin() != w.Origin() {
		return Invalid("headers", "were given for another origin than the new address", "send them again with the address, or none")
	}
	return o.freeWebhook(wanted.Name, w.Number)
}

// ReplaceWebhookSecret gives a webhook another secret. The one that it had signs, too,
// for a day, unless it is to end at once.
type ReplaceWebhookSecret struct {
	Webhook Position
	AtOnce  bool
	Seen    Position
}

// Decide makes the next generation.
func (c ReplaceWebhookSecret) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, WebhooksWrite); err != nil {
		return nil, err
	}
	w, err := o.webhook(c.Webhook)
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, w.Changed); err != nil {
		return nil, err
	}
	until := m.Time
	if !c.AtOnce {
		until = until.Add(WebhookOverlap)
	}
	return []Event{WebhookSecretReplaced{w.Number, until}}, nil
}

// DeleteWebhook ends a webhook. What it has not sent by then is not sent.
type DeleteWebhook struct {
	Webhook Position
	Seen    Position
}

// Decide ends it.
func (c DeleteWebhook) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, WebhooksWrite); err != nil {
		return nil, err
	}
	w, err := o.webhook(c.Webhook)
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, w.Changed); err != nil {
		return nil, err
	}
	return []Event{WebhookDeleted{w.Number}}, nil
}

// SwitchWebhookOff is what the service does with a webhook whose receiver says that it
// is gone.
type SwitchWebhookOff struct {
	Webhook Position
	Reason  string
	Seen    Position // whoever has changed it meanwhile knows better
}

// Decide switches it off, once.
func (c SwitchWebhookOff) Decide(o *Organization, m Meta) ([]Event, error) {
	if m.Actor.Kind != ActorSystem {
		return nil, Refuse(ErrDenied, "only the service itself does this", "")
	}
	w, known := o.Webhook(c.Webhook)
	if !known || w.Disabled || w.Changed != c.Seen {
		return nil, nil
	}
	return []Event{WebhookSwitched{w.Number, true, c.Reason}}, nil
}

// WebhookCreated says that events are sent to an address. Its number is the position of
// the commit.
type WebhookCreated struct{ Announcement }

// Kind is stored.
func (WebhookCreated) Kind() string { return "webhook.created" }

// Evolve adds it.
func (e WebhookCreated) Evolve(o *Organization, m Meta) {
	o.webhooks = append(slices.Clone(o.webhooks), Webhook{
		Number: m.Position, Announcement: e.Announcement, Generation: 1, Created: m.Time, Changed: m.Position,
	})
}

// WebhookChanged says what is sent where from now on: all of it.
type WebhookChanged struct {
	Webhook Position `json:"webhook"`
	Announcement
}

// Kind is stored.
func (WebhookChanged) Kind() string { return "webhook.changed" }

// Evolve takes what is sent where.
func (e WebhookChanged) Evolve(o *Organization, m Meta) {
	o.changeWebhook(e.Webhook, m, func(w *Webhook) { w.Announcement = e.Announcement })
}

// WebhookSwitched says whether a webhook sends. One that is switched on again goes on
// where it has stopped.
type WebhookSwitched struct {
	Webhook  Position `json:"webhook,omitempty"` // 0: the one that this commit has made
	Disabled bool     `json:"disabled"`
	Reason   string   `json:"reason,omitempty"`
}

// Kind is stored.
func (WebhookSwitched) Kind() string { return "webhook.switched" }

// Evolve switches it.
func (e WebhookSwitched) Evolve(o *Organization, m Meta) {
	if e.Webhook == 0 {
		e.Webhook = m.Position
	}
	o.changeWebhook(e.Webhook, m, func(w *Webhook) { w.Disabled = e.Disabled })
}

// WebhookSecretReplaced says that a webhook has another secret.
type WebhookSecretReplaced struct {
	Webhook Position `json:"webhook"`
	Overlap Instant  `json:"overlap"` // until then the one before signs, too
}

// Kind is stored.
func (WebhookSecretReplaced) Kind() string { return "webhook.secret_replaced" }

// Evolve counts the secret.
func (e WebhookSecretReplaced) Evolve(o *Organization, m Meta) {
	o.changeWebhook(e.Webhook, m, func(w *Webhook) { w.Generation, w.Previous = w.Generation+1, e.Overlap })
}

// WebhookDeleted says that a webhook is no more.
type WebhookDeleted struct {
	Webhook Position `json:"webhook"`
}

// Kind is stored.
func (WebhookDeleted) Kind() string { return "webhook.deleted" }

// Evolve removes it.
func (e WebhookDeleted) Evolve(o *Organization, _ Meta) {
	o.webhooks = slices.DeleteFunc(slices.Clone(o.webhooks), func(w Webhook) bool { return w.Number == e.Webhook })
}
