package http

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/projections"
)

// asOfQuery is the query that asks about the past. It is taken out of a request before
// huma looks at the rest, so that no handler of what can be asked about needs it.
const asOfQuery = "as_of"

var asOfParameter = &huma.Param{
	Name: asOfQuery, In: "query", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(40)},
	Description: "A moment of the past, in RFC 3339 or as a position: the answer is what it would have been then. How tokens were used is not in it. Without it the answer is about now.",
	Example:     "2027-03-03T14:00:00Z",
}

type asOfKey struct{}

// datedRequest is a request without the moment that it asks about, which is in its
// context instead.
func datedRequest(r *http.Request) *http.Request {
	query := r.URL.Query()
	if !query.Has(asOfQuery) {
		return r
	}
	r = r.WithContext(context.WithValue(r.Context(), asOfKey{}, query[asOfQuery]))
	query.Del(asOfQuery)
	plain := *r.URL
	plain.RawQuery = query.Encode()
	r.URL = &plain
	return r
}

// datedURL is a URL with the moment back in it, for the link to the next page.
func datedURL(ctx context.Context, u url.URL) url.URL {
	if asked, is := ctx.Value(asOfKey{}).([]string); is {
		query := u.Query()
		query[asOfQuery] = asked
		u.RawQuery = query.Encode()
	}
	return u
}

// readAt is an answer that can be about the past.
type readAt interface{ readAt(domain.Position) }

func (a *answer[T]) readAt(at domain.Position)     { a.ETag, a.Position = "", decimal(at) }
func (a *pageAnswer[T]) readAt(at domain.Position) { a.Position = decimal(at) }

func decimal(at domain.Position) string { return strconv.FormatUint(uint64(at), 10) }

// dated mounts a typed handler that answers about the past too. It does not know when
// it is: its server then has the model of that moment, and ctx the rows. Who calls,
// and what they may see, is settled as of now.
func dated[In, Out any, Answer interface {
	*Out
	readAt
}](handle func(*Server, context.Context, Caller, *In) (Answer, error)) func(*mounter, route) {
	return func(m *mounter, r route) {
		op := m.operation(r)
		op.Metadata["dated"] = true
		op.Parameters = append(op.Parameters, asOfParameter)
		huma.Register(m.api, op, func(ctx context.Context, in *In) (*Out, error) {
			v := ctx.Value(callerKey{}).(visit)
			c := v.Caller
			if err := m.witness(r, v.request, c); err != nil {
				return nil, m.refuse(v.answer, err).of(c.Request)
			}
			out, err := m.server.answerAt(ctx, c, func(s *Server, ctx context.Context) (readAt, error) { return handle(s, ctx, c, in) })
			if err != nil {
				return nil, m.refuse(v.answer, err).of(c.Request)
			}
			return (*Out)(out.(Answer)), nil
		})
	}
}

// answerAt lets a handler answer about the moment that ctx asks about, or now.
func (s *Server) answerAt(ctx context.Context, c Caller, handle func(*Server, context.Context) (readAt, error)) (readAt, error) {
	asked, is := ctx.Value(asOfKey{}).([]string)
	if !is {
		return handle(s, ctx)
	}
	if len(asked) != 1 {
		return nil, inQuery(domain.Invalid(asOfQuery, "is there twice", "ask about one moment"))
	}
	then, err := s.at(ctx, c, asOfQuery, asked[0])
	if err != nil {
		return nil, err
	}
	out, err := handle(s.then(then), then.Context(ctx))
	if err == nil {
		out.readAt(then.Position)
	}
	return out, err
}

// at is the caller's organization at a moment.
func (s *Server) at(ctx context.Context, c Caller, field, text string) (*projections.Then, error) {
	asked, err := parseMoment(field, text)
	if err != nil {
		return nil, inQuery(err)
	}
	ctx, cancel := context.WithTimeout(ctx, viewsPatience)
	defer cancel()
	then, err := s.past.At(ctx, c.Organization, asked)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, projections.ErrViews
	case errors.Is(err, domain.ErrInvalid):
		return nil, inQuery(domain.Invalid(field, "lies in the future", "choose a moment that has passed"))
	}
	return then, err
}

// parseMoment reads a position or a time.
func parseMoment(field, text string) (asked projections.Asked, err error) {
	if at := position(text); at != 0 {
		return projections.Asked{Position: at}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return asked, domain.Invalid(field, "is neither a position nor a time", "write it like 120 or 2027-03-03T14:00:00Z")
	}
	return projections.Asked{Time: domain.At(t)}, nil
}

// then is this server at a moment of the past. Nobody is connected there.
func (s *Server) then(t *projections.Then) *Server {
	return &Server{
		Model: t.Model, Views: s.Views, Log: s.Log, Version: s.Version, past: s.past, when: &t.Moment,
		Now: func() time.Time { return t.Time.Time() },
	}
}
