package http

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// webhookRoutes are the routes of webhooks.
func (s *Server) webhookRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}/webhooks", summary: "List webhooks, with how far each is",
			access: allowed(domain.WebhooksRead), mount: api(s.webhooks)},
		{pattern: "POST /api/v1/organizations/{org}/webhooks", summary: "Have events sent to an address", status: 201,
			access: allowed(domain.WebhooksWrite), mount: api(s.webhookCreate), audit: "webhook.created webhook.switched"},
		{pattern: "GET /api/v1/organizations/{org}/webhooks/{id}", summary: "Show a webhook and how far it is",
			access: allowed(domain.WebhooksRead), mount: api(s.webhook)},
		{pattern: "PATCH /api/v1/organizations/{org}/webhooks/{id}", summary: "Change a webhook, switch it off or on again",
			access: allowed(domain.WebhooksWrite), mount: api(s.webhookUpdate), audit: "webhook.changed webhook.switched"},
		{pattern: "DELETE /api/v1/organizations/{org}/webhooks/{id}", summary: "Delete a webhook with what it has not delivered", status: 204,
			access: allowed(domain.WebhooksWrite), mount: api(s.webhookDelete), audit: "webhook.deleted"},
		{pattern: "POST /api/v1/organizations/{org}/webhooks/{id}/secret", summary: "Give a webhook another secret; the one before signs, too, for a day",
			access: allowed(domain.WebhooksWrite), mount: api(s.webhookSecretReplace), audit: "webhook.secret_replaced"},
		{pattern: "POST /api/v1/organizations/{org}/webhooks/{id}/test", summary: "Send a test to a webhook now and say what it answers",
			access: allowed(domain.WebhooksWrite), mount: api(s.webhookTest)},
		{pattern: "GET /api/v1/organizations/{org}/webhooks/{id}/dead-letters", summary: "List what a webhook has given up to deliver, the oldest first",
			access: allowed(domain.WebhooksRead), mount: api(s.deadLetters)},
		{pattern: "POST /api/v1/organizations/{org}/webhooks/{id}/dead-letters/replay", summary: "Have dead letters sent again: some, or all", status: 202,
			access: allowed(domain.WebhooksWrite), mount: api(s.deadLettersReplay)},
	}
}

// Webhook is an address to which events are sent. It is exported because huma looks
// into exported fields only.
type Webhook struct {
	ID                  domain.Position     `json:"id" doc:"Its number, for ever." example:"12"`
	Name                string              `json:"name" doc:"What it is called." example:"alerts"`
	URL                 string              `json:"url" doc:"Where events are sent." example:"https://hooks.example.org/jeton"`
	Shape               domain.WebhookShape `json:"shape" enum:"standard,siem" doc:"standard: CloudEvents, by Standard Webhooks. siem: as Database Lab's audit settings have it."`
	Events              []string            `json:"events" nullable:"false" doc:"Which events are sent. standard: kinds like token.issued, or token.* for all about tokens; none: all. siem: names as Database Lab has them; none: none."`
	Headers             map[string]string   `json:"headers,omitempty" doc:"What else stands above each request. Values are not shown again."`
	Enabled             bool                `json:"enabled" doc:"false: nothing is sent. When it is enabled again it goes on where it has stopped."`
	PreviousSecretUntil domain.Instant      `json:"previous_secret_until,omitzero" format:"date-time" doc:"Until when the secret before signs, too; absent: it does not."`
	CreatedAt           domain.Instant      `json:"created_at" format:"date-time" doc:"When it was made."`
	Delivery            WebhookDelivery     `json:"delivery" doc:"How far it is."`
	Version             domain.Position     `json:"version" doc:"The number inside its ETag."`
}

// WebhookDelivery is how far a webhook is.
type WebhookDelivery struct {
	Position        domain.Position `json:"position" doc:"Up to where of the log everything was delivered or given up. What it does not want may lie behind."`
	LastDeliveredAt domain.Instant  `json:"last_delivered_at,omitzero" format:"date-time" doc:"When an event was taken last; absent: none was."`
	WaitingSince    domain.Instant  `json:"waiting_since,omitzero" format:"date-time" doc:"When the event has happened that can't be delivered; absent: none waits."`
	Attempts        int             `json:"attempts,omitempty" doc:"How often that was tried."`
	NextAttemptAt   domain.Instant  `json:"next_attempt_at,omitzero" format:"date-time" doc:"When it is tried again."`
	LastStatus      int             `json:"last_status,omitempty" doc:"The last answer; absent: there was none."`
	LastError       string          `json:"last_error,omitempty" doc:"Why the last attempt was no success; absent: it was one." example:"timed out"`
	DeadLetters     int             `json:"dead_letters" doc:"How many events were given up."`
}

// webhookCreated is a new webhook with its secret.
type webhookCreated struct {
	Webhook
	Secret string `json:"secret,omitempty" doc:"What its signatures are made with. It is shown this once." example:"whsec_…"`
}

type newWebhook struct {
	Name    string            `json:"name" maxLength:"100" doc:"What it is called; no two have one name." example:"alerts"`
	URL     string            `json:"url" maxLength:"1000" doc:"Where events are sent: https, and on the public internet unless the operator allows other networks." example:"https://hooks.example.org/jeton"`
	Shape   string            `json:"shape,omitempty" enum:"standard,siem" doc:"standard, if it is absent: CloudEvents, by Standard Webhooks. siem: as Database Lab's audit settings have it."`
	Events  []string          `json:"events,omitempty" maxItems:"100" doc:"Which events are sent. standard: kinds like token.issued, or token.* for all about tokens; none: all. siem: names as Database Lab has them; none: none."`
	Headers map[string]string `json:"headers,omitempty" doc:"What else is to stand above each request. Values are kept sealed and not shown again."`
	Enabled *bool             `json:"enabled,omitempty" doc:"false: nothing is sent until it is enabled."`
}

type webhookChange struct {
	Name    *string            `json:"name,omitempty" maxLength:"100" doc:"What it is called from now on."`
	URL     *string            `json:"url,omitempty" maxLength:"1000" doc:"Where events are sent from now on. With another host, headers have to be sent again."`
	Events  *[]string          `json:"events,omitempty" maxItems:"100" doc:"Which events are sent from now on: all of them. It counts for what has not been delivered yet, too."`
	Headers *map[string]string `json:"headers,omitempty" doc:"All that else is to stand above each request. A value of ******** stays as it is."`
	Enabled *bool              `json:"enabled,omitempty" doc:"Whether it sends."`
}

// InWebhook is a webhook in a path.
type InWebhook struct {
	InOrganization
	ID string `path:"id" doc:"The number of the webhook." example:"12"`
}

// webhookNumbered is the webhook of the caller's organization that a path names.
func (s *Server) webhookNumbered(c Caller, id string) (domain.Webhook, error) {
	w, known := s.Model.Webhook(c.Organization, position(id))
	if !known {
		return w, domain.Refuse(domain.ErrNotFound, "there is no such webhook", "look at the list of webhooks")
	}
	return w, nil
}

func hookID(c Caller, w domain.Webhook) projections.HookID {
	return projections.HookID{Organization: c.Organization, Webhook: w.Number}
}

// webhooks answers GET /api/v1/organizations/{org}/webhooks, the oldest first. There are
// few.
func (s *Server) webhooks(ctx context.Context, c Caller, _ *struct{ InOrganization }) (*pageAnswer[Webhook], error) {
	answer := &pageAnswer[Webhook]{Body: page[Webhook]{Items: []Webhook{}}}
	for _, w := range s.Model.Webhooks(c.Organization) {
		shown, err := s.describeWebhook(ctx, c, w)
		if err != nil {
			return nil, err
		}
		answer.Body.Items = append(answer.Body.Items, shown)
	}
	return answer, nil
}

// webhook answers GET /api/v1/organizations/{org}/webhooks/{id}.
func (s *Server) webhook(ctx context.Context, c Caller, in *InWebhook) (*answer[Webhook], error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	shown, err := s.describeWebhook(ctx, c, w)
	if err != nil {
		return nil, err
	}
	return &answer[Webhook]{ETag: etag(w.Changed), Body: shown}, nil
}

// webhookChanged shows a webhook after a command, which is done: what the views cannot
// say is left out.
func (s *Server) webhookChanged(ctx context.Context, c Caller, number, at domain.Position) (*answer[Webhook], error) {
	w, known := s.Model.Webhook(c.Organization, number)
	if !known {
		return nil, domain.Refuse(domain.ErrNotFound, "the webhook is gone", "look at the list of webhooks")
	}
	behind := s.settled(ctx, at)
	shown, err := s.describeWebhook(ctx, c, w)
	if err != nil {
		behind = viewsBehind
	}
	return &answer[Webhook]{ETag: etag(w.Changed), Views: behind, Body: shown}, nil
}

// describeWebhook shows a webhook. Between deliveries nothing of it is written down that
// it does not want, so its position may be an old one.
func (s *Server) describeWebhook(ctx context.Context, c Caller, w domain.Webhook) (Webhook, error) {
	shown := Webhook{
		ID: w.Number, Name: w.Name, URL: w.URL, Shape: w.Shape, Events: words(w.Events), Enabled: !w.Disabled,
		Headers: s.maskedHeaders(ctx, c.Organization, w.Announcement), CreatedAt: w.Created, Version: w.Changed,
	}
	if w.Previous > domain.At(s.now()) {
		shown.PreviousSecretUntil = w.Previous
	}
	at, err := s.Views.Delivery(ctx, hookID(c, w))
	if err != nil {
		return shown, err
	}
	letters, err := s.Views.DeadLetters(ctx, hookID(c, w))
	if err != nil {
		return shown, err
	}
	shown.Delivery = WebhookDelivery{
		Position: at.Position, LastDeliveredAt: at.Delivered, WaitingSince: at.Waiting, Attempts: at.Attempts,
		NextAttemptAt: at.Next, LastStatus: at.Status, LastError: at.Fault, DeadLetters: len(letters),
	}
	return shown, nil
}

// webhookCreate answers POST /api/v1/organizations/{org}/webhooks. The secret is not
// repeated by an Idempotency-Key: whoever has lost the answer replaces it.
func (s *Server) webhookCreate(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newWebhook
},
) (*created[webhookCreated], error) {
	command := domain.CreateWebhook{
		Announcement: domain.Announcement{
			Name: in.Body.Name, URL: in.Body.URL, Shape: cmp.Or(domain.WebhookShape(in.Body.Shape), domain.StandardWebhook), Events: in.Body.Events,
		},
		Disabled: in.Body.Enabled != nil && !*in.Body.Enabled, Plain: s.plainWebhooks(),
	}
	var err error
	if command.Headers, err = s.sealHeaders(ctx, c.Organization, command.Announcement, in.Body.Headers); err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, in.meta(c), command)
	if err != nil {
		return nil, err
	}
	made := webhookCreated{}
	if !outcome.Replayed {
		key, err := s.webhookKey(ctx, projections.HookID{Organization: c.Organization, Webhook: outcome.Position}, 1)
		if err != nil {
			return nil, err
		}
		made.Secret = webhookSecret(key)
	}
	shown, err := s.webhookChanged(ctx, c, outcome.Position, outcome.Position)
	if err != nil {
		return nil, err
	}
	made.Webhook = shown.Body
	return &created[webhookCreated]{
		Location: fmt.Sprintf("/api/v1/organizations/%s/webhooks/%d", c.Alias, outcome.Position),
		ETag:     shown.ETag, Views: shown.Views, Replayed: replayed(outcome.Replayed), Body: made,
	}, nil
}

// webhookUpdate answers PATCH /api/v1/organizations/{org}/webhooks/{id}.
func (s *Server) webhookUpdate(ctx context.Context, c Caller, in *struct {
	InWebhook
	IfMatch
	Body webhookChange
},
) (*answer[Webhook], error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	command := domain.UpdateWebhook{Webhook: w.Number, Name: in.Body.Name, URL: in.Body.URL, Events: in.Body.Events, Plain: s.plainWebhooks()}
	if command.Seen, err = in.seen(); err != nil {
		return nil, err
	}
	if in.Body.Enabled != nil {
		command.Disabled = new(!*in.Body.Enabled)
	}
	if in.Body.Headers != nil {
		wanted := w.Announcement
		wanted.URL = *cmp.Or(in.Body.URL, &w.URL)
		if command.Headers, err = s.resealed(ctx, c, w, wanted, *in.Body.Headers); err != nil {
			return nil, err
		}
		command.Seen = cmp.Or(command.Seen, w.Changed) // what was kept of headers is what was read
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), command)
	if err != nil {
		return nil, err
	}
	return s.webhookChanged(ctx, c, w.Number, outcome.Position)
}

// webhookDelete answers DELETE /api/v1/organizations/{org}/webhooks/{id}.
func (s *Server) webhookDelete(ctx context.Context, c Caller, in *struct {
	InWebhook
	IfMatch
},
) (*nothing, error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.DeleteWebhook{Webhook: w.Number, Seen: seen})
	if err != nil {
		return nil, err
	}
	for generation := max(1, w.Generation-1); generation <= w.Generation; generation++ {
		s.eraseWebhookKey(ctx, hookID(c, w), generation)
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// eraseWebhookKey forgets a secret that signs nothing any more. If that fails it stays,
// and does no harm.
func (s *Server) eraseWebhookKey(ctx context.Context, hook projections.HookID, generation int) {
	if generation < 1 {
		return
	}
	if err := s.Vault.Erase(ctx, webhookKeyName(hook, generation)); err != nil {
		s.Log.Warn().Err(err).Msg("the key of a webhook could not be erased")
	}
}

// webhookSecretReplacement says how.
type webhookSecretReplacement struct {
	AtOnce bool `json:"at_once,omitempty" doc:"true: the secret before signs no more, because somebody has it who should not. Without it: it signs, too, for a day."`
}

// webhookSecretReplaced is a webhook with its new secret.
type webhookSecretReplaced struct {
	Webhook
	Secret string `json:"secret" doc:"What its signatures are made with from now on. It is shown this once." example:"whsec_…"`
}

// webhookSecretReplace answers POST /api/v1/organizations/{org}/webhooks/{id}/secret. It
// is not repeated by an Idempotency-Key: whoever has lost the answer replaces it again.
func (s *Server) webhookSecretReplace(ctx context.Context, c Caller, in *struct {
	InWebhook
	IfMatch
	Body *webhookSecretReplacement
},
) (*answer[webhookSecretReplaced], error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	// Of two who replace it at once the second one is told so, or both would be shown
	// the secret of the second.
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.ReplaceWebhookSecret{
		Webhook: w.Number, AtOnce: in.Body != nil && in.Body.AtOnce, Seen: cmp.Or(seen, w.Changed),
	})
	if err != nil {
		return nil, err
	}
	key, err := s.webhookKey(ctx, hookID(c, w), w.Generation+1)
	if err != nil {
		return nil, err
	}
	s.eraseWebhookKey(ctx, hookID(c, w), w.Generation-1)
	shown, err := s.webhookChanged(ctx, c, w.Number, outcome.Position)
	if err != nil {
		return nil, err
	}
	return &answer[webhookSecretReplaced]{ETag: shown.ETag, Views: shown.Views, Body: webhookSecretReplaced{shown.Body, webhookSecret(key)}}, nil
}

// webhookTrial says what is sent.
type webhookTrial struct {
	Event string `json:"event,omitempty" enum:"ping" doc:"ping: an event that has not happened."`
}

// webhookTested is what a receiver has answered to a test.
type webhookTested struct {
	Delivered bool   `json:"delivered" doc:"Whether the receiver has taken it."`
	Status    int    `json:"status,omitempty" doc:"What it answered; absent: it did not."`
	Error     string `json:"error,omitempty" doc:"Why it was no success." example:"timed out"`
}

type plainAnswer[T any] struct{ Body T }

// webhookTest answers POST /api/v1/organizations/{org}/webhooks/{id}/test. It is sent
// also while the webhook is switched off.
func (s *Server) webhookTest(ctx context.Context, c Caller, in *struct {
	InWebhook
	Body *webhookTrial
},
) (*plainAnswer[webhookTested], error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	m, err := s.pingMessage(c, w)
	if err != nil {
		return nil, err
	}
	a, err := s.post(ctx, hookID(c, w), w, m)
	if err != nil {
		return nil, err
	}
	return &plainAnswer[webhookTested]{webhookTested{a.fault == "", a.code, a.fault}}, nil
}

// deadLetter is an event that could not be delivered.
type deadLetter struct {
	ID          string         `json:"id" doc:"Where it stands in the log: its commit, and which of its events." example:"120.0"`
	Kind        string         `json:"kind" doc:"What has happened." example:"token.issued"`
	TriedAt     domain.Instant `json:"tried_at" format:"date-time" doc:"When it was tried first."`
	DiedAt      domain.Instant `json:"died_at" format:"date-time" doc:"When it was given up."`
	Attempts    int            `json:"attempts" doc:"How often it was tried."`
	LastStatus  int            `json:"last_status,omitempty" doc:"The last answer; absent: there was none."`
	LastError   string         `json:"last_error" doc:"Why the last attempt was no success." example:"answered 500"`
	ReplayingAt domain.Instant `json:"replaying_since,omitzero" format:"date-time" doc:"Since when it is to be sent again; absent: it is not."`
}

// deadLetters answers GET /api/v1/organizations/{org}/webhooks/{id}/dead-letters.
func (s *Server) deadLetters(ctx context.Context, c Caller, in *InWebhook) (*pageAnswer[deadLetter], error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	letters, err := s.Views.DeadLetters(ctx, hookID(c, w))
	if err != nil {
		return nil, err
	}
	answer := &pageAnswer[deadLetter]{Body: page[deadLetter]{Items: []deadLetter{}}}
	for _, l := range letters {
		answer.Body.Items = append(answer.Body.Items, deadLetter{
			fmt.Sprintf("%d.%d", l.Position, l.Item), l.Kind, l.Tried, l.Died, l.Attempts, l.Status, l.Fault, l.Replay,
		})
	}
	return answer, nil
}

// deadLettersReplay says which are to be sent again.
type deadLettersReplay struct {
	Letters []string `json:"letters,omitempty" maxItems:"1000" doc:"The ids of those that are to be sent again; none: all." example:"[\"120.0\"]"`
}

// deadLettersReplayed is how many are.
type deadLettersReplayed struct {
	Letters int `json:"letters" doc:"How many are sent again, soon, and each once. What is taken is no dead letter any more."`
}

// deadLettersReplay answers POST /api/v1/organizations/{org}/webhooks/{id}/dead-letters/replay.
// They are sent by whichever node serves the webhook.
func (s *Server) deadLettersReplay(ctx context.Context, c Caller, in *struct {
	InWebhook
	Body *deadLettersReplay
},
) (*plainAnswer[deadLettersReplayed], error) {
	w, err := s.webhookNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	places, err := placesOf(cmp.Or(in.Body, new(deadLettersReplay)).Letters)
	if err != nil {
		return nil, err
	}
	n, err := s.Views.Replay(ctx, hookID(c, w), domain.At(s.now()), places...)
	if err != nil {
		return nil, err
	}
	return &plainAnswer[deadLettersReplayed]{deadLettersReplayed{n}}, nil
}

func placesOf(letters []string) (places []projections.EventPlace, err error) {
	for _, text := range letters {
		at, item, found := strings.Cut(text, ".")
		n, err := strconv.Atoi(item)
		p := projections.EventPlace{Position: position(at), Item: n}
		if !found || err != nil || p.Position == 0 || n < 0 {
			return nil, domain.Invalid("letters", "have an id that is none", "send ids of the list of dead letters, like 120.0")
		}
		places = append(places, p)
	}
	return places, nil
}
