package engine

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"jeton/domain"
)

// Options say what a guard wants of requests. The zero Options want everybody to
// come in as far as the door has it, and nothing finer.
type Options struct {
	// Needs says what a request needs: a permission by its name, and what it is about.
	// An empty permission: to come in at all. nil: no request needs more. The path is as
	// it was sent; whoever decides by it looks at it as the program behind does.
	Needs func(*http.Request) (permission string, resource domain.Resource)
	// Open says which requests need nobody, like those for /healthz. Behind the guard
	// they have no identity, whatever they show. nil: none.
	Open func(*http.Request) bool
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Headers: the request says behind the guard who has come in, in the headers
	// Jeton-Subject, Jeton-Email, Jeton-Via, Jeton-Token and Jeton-Role, and whom they
	// are in X-Forwarded-User-Email. For programs that are not written in Go.
	Headers bool
	// Age: answers say how old what was decided by is, in Jeton-Age, in seconds.
	Age bool
	// Again is how often a request is asked about that Middleware has let in and that
	// still runs, like a stream or a WebSocket. Once it would not come in any more, or as
	// somebody else or in another role, its context is cancelled with the cause ErrEnded;
	// whatever is behind the guard has to end with its context, as a
	// httputil.ReverseProxy does. 0: never, and a request runs for as long as it does.
	Again time.Duration
	// Prefix is where Forward is mounted, for proxies that append the path that was
	// asked for, like /auth/forward. Empty: none does.
	Prefix string
}

// Middleware lets requests through that come in at the door. It reads the token from
// Verification-Token or Authorization: Bearer.
//
// Who does not come in gets an object with the fields code and message, as programs
// of Database Lab expect: 401 for whoever has no token that is good here, 403 for a
// good one that may not do what is needed, 429 for one that was used too often, 503
// if the copy is stale, and 400 for two tokens that differ and for one in the URL.
// Which of all reasons it is, only the checker's logs say.
func Middleware(checker Checker, options Options) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if options.open(r) {
				inner := r.Clone(r.Context())
				strip(inner.Header)
				next.ServeHTTP(w, inner)
				return
			}
			p, a, refusal := options.ask(checker, r, address(r, options.TrustedProxies))
			if refusal != nil {
				refusal.write(w)
				return
			}
			options.sayAge(w.Header(), &a)
			ctx, end := options.runs(r.Context(), checker, p, a)
			defer end()
			next.ServeHTTP(w, options.enter(ctx, r, a))
		})
	}
}

func (o *Options) open(r *http.Request) bool { return o.Open != nil && o.Open(r) }

// ask asks about a request. The refusal is nil for who comes in.
func (o *Options) ask(checker Checker, r *http.Request, from netip.Addr) (p Presented, a Answer, _ *refusal) {
	p, err := presented(r)
	if err != nil {
		return p, a, badRequest(err)
	}
	if p.Address = from; o.Needs != nil {
		p.Permission, p.Resource = o.Needs(r)
	}
	if a = checker.Check(p); !a.Allowed {
		return p, a, a.refusal()
	}
	return p, a, nil
}

// enter is the request as it goes on behind the guard.
func (o *Options) enter(ctx context.Context, r *http.Request, a Answer) *http.Request {
	inner := r.Clone(context.WithValue(ctx, identityKey{}, &a))
	strip(inner.Header)
	if o.Headers {
		a.tell(inner.Header)
	}
	return inner
}

func (o *Options) sayAge(h http.Header, a *Answer) {
	if o.Age {
		h.Set(HeaderAge, strconv.FormatInt(int64(a.Age.Seconds()), 10))
	}
}

type identityKey struct{}

// Identity is who has come in through Middleware; false: the request needed nobody.
// Of whoever has come in with the verification token, or at an engine that is open,
// it says Via and perhaps an Email, and no more.
func Identity(ctx context.Context) (a Answer, known bool) {
	if found, ok := ctx.Value(identityKey{}).(*Answer); ok {
		return *found, true
	}
	return a, false
}
