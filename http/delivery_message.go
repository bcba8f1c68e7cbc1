package http

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// message is an event as it is sent to a receiver. All but when it is sent and how it is
// signed is the same each time.
type message struct {
	ID          string
	ContentType string
	Body        []byte
}

// messageID is what an event is called wherever it is sent: its organization and its
// place in the log.
func messageID(org domain.OrganizationID, at domain.Position, item int) string {
	return fmt.Sprintf("%s-%d-%d", org, at, item)
}

// message is an event of a commit as a webhook wants it: the entry of the audit log, as
// exports write it.
func (s *Server) message(ctx context.Context, w domain.Webhook, row projections.CommitRow, item int) (message, error) {
	if w.Shape == domain.SIEMWebhook {
		return s.siemMessage(row, item)
	}
	profile, _ := s.Model.Profile(row.Organization)
	place := projections.PlaceOf(row.Position, item)
	rows, err := s.Views.Audit(ctx, projections.AuditFilter{Organization: row.Organization, After: place - 1, Oldest: true, Limit: 1})
	if err != nil {
		return message{}, err
	}
	if len(rows) == 0 || rows[0].Place != place {
		return message{}, fmt.Errorf("%w: the audit log lacks %s", projections.ErrViews, place)
	}
	entry := s.auditEntry(Caller{Checked: projections.Checked{Organization: row.Organization, Alias: profile.Alias}}, rows[0])
	return eventMessage(messageID(row.Organization, row.Position, item), cloudEvent(entry))
}

func eventMessage[Data any](id string, e CloudEvent[Data]) (message, error) {
	body, err := json.Marshal(e)
	return message{id, "application/cloudevents+json", body}, err
}

// wants reports whether an event is to be sent to a webhook. It is asked when it is its
// turn: a webhook that has been changed meanwhile gets what it wants by now.
func (s *Server) wants(w domain.Webhook, org domain.OrganizationID, e domain.Event) bool {
	if w.Shape == domain.SIEMWebhook {
		return slices.Contains(w.Events, s.siemTable(org, e))
	}
	return w.Wants(e.Kind())
}

// pingMessage is what a test sends to a webhook.
func (s *Server) pingMessage(c Caller, w domain.Webhook) (message, error) {
	now := domain.At(s.now())
	id := "ping-" + domain.RandomID().String()
	if w.Shape == domain.SIEMWebhook {
		return s.siemPing(c, id)
	}
	return eventMessage(id, CloudEvent[map[string]any]{
		SpecVersion: "1.0", ID: id, Source: "/organizations/" + c.Alias, Type: "jeton.webhook.ping", Time: now, ContentType: "application/json",
		Subject: fmt.Sprintf("webhook/%d", w.Number), Data: map[string]any{"webhook": w.Number, "name": w.Name},
	})
}

// webhookKey is what a webhook signs with: its secret of a generation. It is made when
// it is asked for first.
func (s *Server) webhookKey(ctx context.Context, hook projections.HookID, generation int) (eventstore.Key, error) {
	return s.Vault.Key(ctx, webhookKeyName(hook, generation))
}

func webhookKeyName(hook projections.HookID, generation int) string {
	return fmt.Sprintf("webhook-%s-%d-%d", hook.Organization, hook.Webhook, generation)
}

// webhookSecret is a key as Standard Webhooks writes secrets.
func webhookSecret(key eventstore.Key) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(key[:])
}

// header is what stands above a message, by Standard Webhooks: its id, when it is sent,
// and a signature by each secret that is good now; and, of a SIEM, what was given.
func (s *Server) webhookHeader(ctx context.Context, hook projections.HookID, w domain.Webhook, m message) (http.Header, error) {
	header, err := s.openHeaders(ctx, hook.Organization, w.Announcement)
	if err != nil {
		return nil, err
	}
	now := s.now()
	at := strconv.FormatInt(now.Unix(), 10)
	var signatures []string
	for generation := w.Generation; generation > 0 && generation > w.Generation-2; generation-- {
		if generation < w.Generation && w.Previous <= domain.At(now) {
			break
		}
		key, err := s.webhookKey(ctx, hook, generation)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, "v1,"+signature(key, m.ID, at, m.Body))
	}
	header.Set("Webhook-Id", m.ID)
	header.Set("Webhook-Timestamp", at)
	header.Set("Webhook-Signature", strings.Join(signatures, " "))
	header.Set("Content-Type", m.ContentType)
	header.Set("User-Agent", "jeton/"+s.Version)
	return header, nil
}

// signature is HMAC-SHA256 of id.timestamp.body.
func signature(key eventstore.Key, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sealedHeaders is the key under which the headers of an organization's webhooks are
// sealed, and to what each is bound: it opens for its origin only.
func sealedHeaders(org domain.OrganizationID, a domain.Announcement) (key string, bound []byte) {
	return "organization-" + org.String(), []byte("webhook headers " + org.String() + " " + a.Origin())
}

func (s *Server) sealHeaders(ctx context.Context, org domain.OrganizationID, a domain.Announcement, headers map[string]string) ([]byte, error) {
	if err := checkHeaders(headers); err != nil || len(headers) == 0 {
		return nil, err
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return nil, err
	}
	key, bound := sealedHeaders(org, a)
	return s.Vault.Seal(ctx, key, text, bound)
}

func (s *Server) openHeaders(ctx context.Context, org domain.OrganizationID, a domain.Announcement) (http.Header, error) {
	header := http.Header{}
	if len(a.Headers) == 0 {
		return header, nil
	}
	key, bound := sealedHeaders(org, a)
	text, err := s.Vault.Open(ctx, key, a.Headers, bound)
	if err != nil {
		return nil, fmt.Errorf("open the headers of a webhook: %w", err)
	}
	var headers map[string]string
	if err := json.Unmarshal(text, &headers); err != nil {
		return nil, errors.New("the headers of a webhook can't be read") // err would show them
	}
	for name, value := range headers {
		header.Set(name, value)
	}
	return header, nil
}

// masked stands for the value of a header that was given.
const masked = "********"

// maskedHeaders are the names of a webhook's headers; values are never shown again.
func (s *Server) maskedHeaders(ctx context.Context, org domain.OrganizationID, a domain.Announcement) map[string]string {
	header, err := s.openHeaders(ctx, org, a)
	if err != nil || len(header) == 0 {
		return nil
	}
	shown := map[string]string{}
	for name := range header {
		shown[name] = masked
	}
	return shown
}

const (
	maxHeaders     = 20
	maxHeaderBytes = 8 << 10 // of all together
)

// checkHeaders refuses what would break a request, or what is not theirs to say.
func checkHeaders(headers map[string]string) error {
	size := 0
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		canonical := http.CanonicalHeaderKey(name)
		size += len(name) + len(headers[name])
		switch {
		case name == "" || strings.ContainsFunc(name, notInToken):
			return domain.Invalid("headers", "have a name that is none", "use letters, digits and hyphens")
		case strings.HasPrefix(canonical, "Webhook-") || strings.HasPrefix(canonical, "Proxy-") || slices.Contains(ownHeaders, canonical):
			return domain.Invalid("headers", canonical+" is set by the service", "leave it out")
		case strings.ContainsFunc(headers[name], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return domain.Invalid("headers", canonical+" has a value of several lines", "send one line")
		}
	}
	if len(headers) > maxHeaders || size > maxHeaderBytes {
		return domain.Invalid("headers", "are too many", "send fewer or shorter ones")
	}
	return nil
}

var ownHeaders = []string{"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Expect", "User-Agent", "Cookie", "Keep-Alive"}

func notInToken(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// uuidOf is a UUID of version 7 that is the same for the same moment and text: what is
// sent twice has one id.
func uuidOf(at domain.Instant, text string) string {
	sum := sha256.Sum256([]byte(text))
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(at)<<16)
	copy(id[6:], sum[:10])
	id[6] = 0x70 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// The times of retries. Standard Webhooks wants them over a day; receivers that are
// restarted are back after seconds.
const (
	firstRetry = 5 * time.Second
	retryFor   = 24 * time.Hour
)

// retryAfter is when something is tried again that was tried so often since a moment.
// Each wait is twice the one before, a fifth more or less, so that what failed together
// does not come back together. The last try is at the end of the day; false: that was it.
func retryAfter(since, now domain.Instant, attempts int, random float64) (domain.Instant, bool) {
	end := since.Add(retryFor)
	if now >= end {
		return 0, false
	}
	wait := retryFor
	if attempts < 16 {
		wait = firstRetry << (attempts - 1)
	}
	wait = time.Duration(float64(wait) * (0.8 + 0.4*random))
	return min(now.Add(wait), end), true
}
