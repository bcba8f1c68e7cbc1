package http

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// labTokenQuery is a question to the view api_tokens as PostgREST would read it:
//
//	org_id=eq.1  id=eq.1|lt.1|gt.1  is_personal=eq.true  name=eq.x|ilike.x*
//	order=id.desc|id.asc  limit=10  offset=20
//
// and the header Prefer: count=exact, to learn how many rows there are in all.
// Filters choose among what the caller may see, so that another organization's
// number finds nothing. What is not understood is refused: a filter that was
// overlooked would show too much.
type labTokenQuery struct {
	visible   projections.TokenFilter
	filters   []func(labToken) bool
	before    domain.Position // no row from here on passes the filters; 0: any may
	ascending bool
	limit     int
	offset    int
	count     bool
}

const (
	labMostRows       = 10_000 // in an answer
	labPage           = 250    // at a time from the views
	labLongestPattern = 4 * domain.MaxName
)

func labTokenQueryOf(r *http.Request) (labTokenQuery, error) {
	q := labTokenQuery{limit: labMostRows, count: labPrefers(r, "count=exact")}
	parameters, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, problem(400, "malformed", "the query is not well formed", "escape it as a form does")
	}
	for name, values := range parameters {
		for _, value := range values {
			if err := q.take(name, value); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

// labPrefers reports whether the caller has a preference, as RFC 7240 writes it.
func labPrefers(r *http.Request, what string) bool {
	for _, header := range r.Header["Prefer"] {
		for preference := range strings.SplitSeq(header, ",") {
			if strings.EqualFold(strings.TrimSpace(preference), what) {
				return true
			}
		}
	}
	return false
}

// take takes a parameter into the question. Several filters must all be passed.
func (q *labTokenQuery) take(name, value string) (err error) {
	switch name {
	case "order":
		return q.order(value)
	case "limit":
		q.limit, err = labRows(name, value)
		q.limit = min(q.limit, labMostRows)
	case "offset":
		q.offset, err = labRows(name, value)
	default:
		var passes func(labToken) bool
		passes, err = labFilter(name, value)
		q.filters = append(q.filters, passes)
		q.begin(name, value)
	}
	return err
}

// begin spares the views the rows above those of a page that names its end.
func (q *labTokenQuery) begin(name, value string) {
	end, paging := strings.CutPrefix(value, "lt.")
	if n, err := strconv.ParseUint(end, 10, 63); paging && name == "id" && err == nil {
		q.before = domain.Position(n)
	}
}

func (q *labTokenQuery) order(value string) error {
	switch value {
	case "id.desc":
		q.ascending = false
	case "id.asc", "id":
		q.ascending = true
	default:
		return domain.Invalid("order", "can be by id only", "write order=id.desc or order=id.asc")
	}
	return nil
}

// labRows reads a number of rows.
func labRows(name, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, domain.Invalid(name, "is not a number of rows", "write it like %[1]s=20", name)
	}
	return int(n), nil
}

// labFilter reads a filter: a column, and an operator with its operand.
func labFilter(column, value string) (func(labToken) bool, error) {
	operator, operand, _ := strings.Cut(value, ".")
	switch column + " " + operator {
	case "org_id eq":
		return labNumbers(column, operator, operand, func(t labToken) domain.Position { return t.OrgID })
	case "id eq", "id lt", "id gt":
		return labNumbers(column, operator, operand, func(t labToken) domain.Position { return t.ID })
	case "is_personal eq":
		personal := operand == "true"
		if !personal && operand != "false" {
			return nil, domain.Invalid(column, "is not true or false", "write is_personal=eq.true")
		}
		return func(t labToken) bool { return t.IsPersonal == personal }, nil
	case "name eq":
		return func(t labToken) bool { return t.Name == operand }, nil
	case "name ilike":
		pattern, err := labPattern(operand)
		return func(t labToken) bool { return pattern.MatchString(t.Name) }, err
	}
	return nil, problem(400, "invalid", fmt.Sprintf("%.40q cannot be asked like that", column),
		"use org_id=eq., id=eq., id=lt., id=gt., is_personal=eq., name=eq., name=ilike., order, limit and offset")
}

func labNumbers(column, operator, operand string, of func(labToken) domain.Position) (func(labToken) bool, error) {
	n, err := strconv.ParseInt(operand, 10, 64)
	if err != nil {
		return nil, domain.Invalid(column, "is not a number", "write it like %s=%s.1", column, operator)
	}
	return func(t labToken) bool {
		switch id := int64(of(t)); operator {
		case "lt":
			return id < n
		case "gt":
			return id > n
		default:
			return id == n
		}
	}, nil
}

// labPattern reads the pattern of an ilike: * and % stand for anything, _ for one
// character, and what is behind a backslash for itself. Names are short; a long
// pattern would only keep us busy.
func labPattern(like string) (*regexp.Regexp, error) {
	if len(like) > labLongestPattern {
		return nil, domain.Invalid("name", "is too long for a pattern", "use at most %d letters", labLongestPattern)
	}
	var expression strings.Builder
	literal := false
	for _, r := range like {
		switch {
		case literal:
			expression.WriteString(regexp.QuoteMeta(string(r)))
			literal = false
		case r == '\\':
			literal = true
		case r == '*' || r == '%':
			expression.WriteString(".*")
		case r == '_':
			expression.WriteString(".")
		default:
			expression.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile("(?is)^" + expression.String() + "$"), nil
}

// ask answers the question, and what to say in Content-Range.
func (q labTokenQuery) ask(ctx context.Context, v *projections.Views, organization domain.Position) (rows []labToken, contentRange string, err error) {
	from, to, total := q.offset, q.offset+q.limit, 0
	if q.count || q.ascending {
		for _, err := range q.passing(ctx, v, organization) {
			if err != nil {
				return nil, "", err
			}
			total++
		}
	}
	if q.ascending {
		from, to = max(0, total-to), max(0, total-from)
	}
	rows, err = q.between(from, to, q.passing(ctx, v, organization))
	if q.ascending {
		slices.Reverse(rows)
	}
	return rows, q.contentRange(len(rows), total), err
}

// between is the rows from one place to before another, the youngest first.
func (q labTokenQuery) between(from, to int, passing iter.Seq2[labToken, error]) ([]labToken, error) {
	rows, at := []labToken{}, 0
	for row, err := range passing {
		if err != nil || at >= to {
			return rows, err
		}
		if at >= from {
			rows = append(rows, row)
		}
		at++
	}
	return rows, nil
}

// passing is what the caller may see and wants to see, the youngest first.
func (q labTokenQuery) passing(ctx context.Context, v *projections.Views, organization domain.Position) iter.Seq2[labToken, error] {
	return func(yield func(labToken, error) bool) {
		f := q.visible
		f.Before, f.Limit = q.before, labPage
		for full := true; full; {
			page, err := v.Tokens(ctx, f)
			if err != nil {
				yield(labToken{}, err)
				return
			}
			for _, row := range page {
				f.Before = row.Number
				if t := labTokenOf(row, organization); q.passes(t) && !yield(t, nil) {
					return
				}
			}
			full = len(page) == labPage
		}
	}
}

func (q labTokenQuery) passes(t labToken) bool {
	return !slices.ContainsFunc(q.filters, func(passes func(labToken) bool) bool { return !passes(t) })
}

// contentRange says which rows these are, and of how many if that was asked.
func (q labTokenQuery) contentRange(rows, total int) string {
	which, of := "*", "*"
	if rows > 0 {
		which = fmt.Sprintf("%d-%d", q.offset, q.offset+rows-1)
	}
	if q.count {
		of = strconv.Itoa(total)
	}
	return which + "/" + of
}
