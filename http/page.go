package http

import (
	"context"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
)

// PageQuery says which part of a list is wanted. It is exported because huma
// looks into exported fields only.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"How many at most."`
	Cursor string `query:"cursor" maxLength:"100" doc:"The next of the page before; without it the list begins."`

	url url.URL
}

// Resolve implements huma.Resolver: the link to the next page keeps the filters.
func (q *PageQuery) Resolve(ctx huma.Context) []error {
	q.url = datedURL(ctx.Context(), ctx.URL())
	return nil
}

// page is a part of a list.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false" doc:"This part of the list."`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
}

type pageAnswer[T any] struct {
	Link     string `header:"Link" doc:"The next page, as RFC 8288 writes it."`
	Position string `header:"Jeton-Position" doc:"Of an answer about the past: the last commit of the organization by then."`
	Body     page[T]
}

// cursor is where a page ends, with the list it belongs to: the cursor of one
// list means nothing in another. It gives no rights and hides nothing.
func cursor(list string, at domain.Position) string {
	return base64.RawURLEncoding.EncodeToString([]byte(list + ":" + strconv.FormatUint(uint64(at), 10)))
}

// at is the number where the page before ended; 0: there was none.
func (q PageQuery) at(list string) (domain.Position, error) {
	if q.Cursor == "" {
		return 0, nil
	}
	text, _ := base64.RawURLEncoding.DecodeString(q.Cursor)
	digits := strings.TrimPrefix(string(text), list+":")
	at, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || at == 0 || cursor(list, domain.Position(at)) != q.Cursor {
		p := problem(422, "invalid", "cursor: it is not from this list", "take next from the page before, or begin without a cursor")
		p.Errors = []FieldProblem{{"query.cursor", "is not from this list"}}
		return 0, p
	}
	return domain.Position(at), nil
}

// listing answers a page. ask gets one row more than the page has, to know
// whether there is another one.
func listing[Row, T any](ctx context.Context, q PageQuery, list string,
	ask func(ctx context.Context, at domain.Position, limit int) ([]Row, error),
	show func(Row) (T, domain.Position),
) (*pageAnswer[T], error) {
	at, err := q.at(list)
	if err != nil {
		return nil, err
	}
	rows, err := ask(ctx, at, q.Limit+1)
	if err != nil {
		return nil, err
	}
	answer := &pageAnswer[T]{Body: page[T]{Items: make([]T, 0, min(len(rows), q.Limit))}}
	for i, row := range rows {
		if i == q.Limit {
			answer.Body.Next = cursor(list, at)
			answer.Link = q.link(answer.Body.Next)
			break
		}
		var item T
		item, at = show(row)
		answer.Body.Items = append(answer.Body.Items, item)
	}
	return answer, nil
}

// link is this request with another cursor. It is relative, because we do not
// know by which name a proxy is reached.
func (q PageQuery) link(next string) string {
	query := q.url.Query()
	query.Set("cursor", next)
	return "<" + q.url.EscapedPath() + "?" + query.Encode() + `>; rel="next"`
}
