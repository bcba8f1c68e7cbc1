package engine

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"jeton/domain"
)

// stays is what is behind a guard, and runs for as long as it may. It says why it ended.
type stays struct {
	began, ended chan error
}

func (s *stays) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s.began <- nil
	<-r.Context().Done()
	s.ended <- context.Cause(r.Context())
}

// A request that runs ends once it would not come in any more as it came, whatever it has
// come in with. What happens to others is nothing to it.
func TestRunningRequestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		shows func(*world, somebody) string
		do    func(*world, *Client, somebody)
	}{
		"its token is revoked": {token, func(w *world, _ *Client, p somebody) { w.do(domain.RevokeToken{Token: p.token, Reason: "lost"}) }},
		"its token expires":    {expiring, func(w *world, _ *Client, _ somebody) { w.pass(time.Hour) }},
		"it loses its right": {token, func(w *world, _ *Client, p somebody) {
			none := domain.Grant{Access: domain.ByList, Permissions: []string{"clones.read"}}
			w.do(domain.UpdateToken{Token: p.token, Grant: &none})
		}},
		"its holder is suspended": {token, func(w *world, _ *Client, p somebody) {
			yes := true
			w.do(domain.UpdateMember{Account: p.id, Suspended: &yes})
		}},
		"its holder has another role": {token, func(w *world, _ *Client, p somebody) {
			role := domain.Auditor
			w.do(domain.UpdateMember{Account: p.id, Role: &role})
		}},
		"the door takes no personal tokens": {token, func(w *world, _ *Client, _ somebody) { w.door(func(d *domain.Door) { d.PersonalTokens = false }) }},
		"the door has another verification token": {shared, func(w *world, _ *Client, _ somebody) {
			w.door(func(d *domain.Door) { d.Verification = domain.Hash{1} })
		}},
		"the copy is stale": {shared, func(w *world, c *Client, _ somebody) {
			if err := c.Close(); err != nil {
				w.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			bob, cid := w.join("bob@example.org", domain.Admin), w.join("cid@example.org", domain.Ordinary)
			shown := test.shows(w, bob)
			c := w.ready(w.config(w.platform().URL))
			behind := &stays{make(chan error, 1), make(chan error, 1)}
			guard := Middleware(c, Options{Again: 5 * time.Millisecond})(behind)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set(headerVerification, shown)
			go guard.ServeHTTP(httptest.NewRecorder(), r)
			<-behind.began
			w.do(domain.RevokeToken{Token: cid.token, Reason: "lost"})
			w.caughtUp(c)
			select {
			case err := <-behind.ended:
				t.Fatalf("it ends for another's sake: %v", err)
			default:
			}
			test.do(w, c, bob)
			select {
			case err := <-behind.ended:
				if !errors.Is(err, ErrEnded) {
					t.Errorf("it ends for %v", err)
				}
			case <-time.After(patience):
				t.Error("it goes on")
			}
		})
	}
}

func token(_ *world, p somebody) string { return p.secret.Reveal() }
func shared(*world, somebody) string    { return verification }

func expiring(w *world, p somebody) string {
	_, secret := w.issue(p, "short", func(c *domain.IssueToken) { c.Expires = w.instant().Add(time.Hour) })
	return secret.Reveal()
}

// heard counts what a client is asked, and asked again.
type heard struct {
	*Client
	first, again atomic.Int64
}

func (h *heard) Check(p Presented) Answer {
	if p.Again {
		h.again.Add(1)
	} else {
		h.first.Add(1)
	}
	return h.Client.Check(p)
}

// A request that goes on is asked about at each interval, and is one use all the same. A
// short one is not asked about, nor is any if nobody wants it.
func TestRunningRequestIsOneUse(t *testing.T) {
	for name, test := range map[string]struct {
		every, runs time.Duration
		again       int64
	}{
		"long":  {time.Second, 10*time.Second + 1, 10},
		"short": {time.Second, time.Second - 1, 0},
		"never": {0, time.Minute, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, secrets := limited(t)
			h := &heard{Client: c}
			var cause error
			guard := Middleware(h, Options{Again: test.every})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-time.After(test.runs):
				}
				cause = context.Cause(r.Context())
			}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set(headerVerification, secrets[0])
			guard.ServeHTTP(httptest.NewRecorder(), r)
			<-time.After(time.Minute)
			if first, again := h.first.Load(), h.again.Load(); first != 1 || again != test.again || cause != nil {
				t.Errorf("%s: it was asked %d times, again %d times, want 1 and %d; it ended with %v", name, first, again, test.again, cause)
			}
			if a := c.Check(Presented{Secret: secrets[0]}); !a.Allowed || a.Limit.Remaining != 0 {
				t.Errorf("%s: then %+v is left, want that one more is let in", name, a.Limit)
			}
			if a := c.Check(Presented{Secret: secrets[0], Again: true}); !a.Allowed {
				t.Errorf("%s: the limit ends what runs: %q", name, a.Reason)
			}
			if uses := c.copy.uses(MaxUses); len(uses) != 1 || uses[0].Count != 2 {
				t.Errorf("%s: reported is %+v, want two uses", name, uses)
			}
		})
	}
}

// limited is a client whose one token is good for two requests in a day.
func limited(t *testing.T) (*Client, []string) {
	t.Helper()
	c, secrets := million(t, 1)
	c.copy.held.Policy.TokenLimit = domain.Limit{Requests: 2, Window: 24 * 3600}
	return c, secrets
}

// A guard that does not ask again leaves the context as it is.
func TestNothingIsStartedIfNobodyAsksAgain(t *testing.T) {
	var o Options
	if ctx, end := o.runs(t.Context(), nil, Presented{}, Answer{}); ctx != t.Context() {
		end()
		t.Error("the context is another one")
	}
}
