package http

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"jeton/domain"
)

// labQuery is a question to a view as PostgREST would read it:
//
//	id=eq.1|neq.1|lt.1|lte.1|gt.1|gte.1|in.(1,2)   numbers and moments
//	is_personal=eq.true                            what is true or false
//	name=eq.x|neq.x|ilike.x*|in.(x,y)|fts(simple).x  texts
//	or=(name.ilike.x*,username.ilike.x*)           one of several
//	select=id,name  order=id.asc,name.desc  limit=10  offset=20
//
// and the header Prefer: count=exact, to learn how many rows there are in all.
// Filters choose among what the caller may see, so that another organization's
// number finds nothing. What is not understood is refused: a filter that was
// overlooked would show too much. A column that is null passes no filter.
type labQuery struct {
	columns labColumns
	filters []labFilter
	order   []labOrder // none: the youngest first
	limit   int
	offset  int
	count   bool
	only    []string // columns; empty: all

	// What follows from the filters for where rows are looked for.
	before domain.Position            // only rows with a smaller id; 0: any
	above  domain.Position            // only rows with a greater id
	equal  map[string]domain.Position // columns that must be one number
}

// labFilter reports whether a row passes.
type labFilter func(row reflect.Value) bool

type labOrder struct {
	column labColumn
	down   bool
}

const (
	labMostRows       = 10_000 // in an answer
	labMostSorted     = 50_000 // that are put into another order than they have
	labPage           = 250    // at a time from the views
	labLongestPattern = 4 * domain.MaxName
)

// labQueryOf reads the question to a view with rows of a type.
func labQueryOf(r *http.Request, row reflect.Type) (labQuery, error) {
	q := labQuery{columns: labColumnsOf(row), limit: labMostRows, count: labPrefers(r, "count=exact"), equal: map[string]domain.Position{}}
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
func (q *labQuery) take(name, value string) (err error) {
	var passes labFilter
	switch name {
	case "order":
		return q.sort(value)
	case "select":
		return q.choose(value)
	case "limit":
		q.limit, err = labRows(name, value)
		q.limit = min(q.limit, labMostRows)
		return err
	case "offset":
		q.offset, err = labRows(name, value)
		return err
	case "or":
		passes, err = q.either(value)
	default:
		operator, operand, _ := strings.Cut(value, ".")
		if labUnfilled[name+"="+value] {
			return nil
		}
		passes, err = q.filter(name, operator, operand)
		q.hint(name, operator, operand)
	}
	q.filters = append(q.filters, passes)
	return err
}

// labUnfilled are filters that the console sends with the name of a variable where its
// value should be. It wants rows of all of them then.
var labUnfilled = map[string]bool{"project_id=eq.$(projectId)": true, "instance_id=eq.$(instanceId)": true}

// hint remembers what spares the views rows that do not pass.
func (q *labQuery) hint(name, operator, operand string) {
	n, err := strconv.ParseUint(operand, 10, 62)
	if err != nil {
		return
	}
	at := domain.Position(n)
	switch {
	case name == "id" && operator == "lt" && at > 0:
		q.below(at)
	case name == "id" && operator == "gt":
		q.above = max(q.above, at)
	case name == "id" && operator == "eq" && at > 0:
		q.below(at + 1)
		q.above = max(q.above, at-1)
	case operator == "eq":
		q.equal[name] = at
	}
}

// without is the question for rows that do not stand in a column themselves: what they
// belong to does.
func (q labQuery) without(column string) labQuery {
	q.equal = maps.Clone(q.equal)
	delete(q.equal, column)
	return q
}

func (q *labQuery) below(at domain.Position) {
	if q.before == 0 || at < q.before {
		q.before = at
	}
}

func (q *labQuery) sort(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		name, direction, _ := strings.Cut(part, ".")
		column, known := q.columns.find(name)
		if !known || column.kind == labOther || direction != "" && direction != "asc" && direction != "desc" {
			return domain.Invalid("order", "can't be like that", "write order=id.desc or order=id.asc, or name another column")
		}
		q.order = append(q.order, labOrder{column, direction == "desc"})
	}
	if len(q.order) == 1 && q.order[0].column.name == "id" && q.order[0].down {
		q.order = nil // as they come
	}
	return nil
}

func (q *labQuery) choose(value string) error {
	if value == "*" {
		return nil
	}
	for name := range strings.SplitSeq(value, ",") {
		if _, known := q.columns.find(name); !known {
			return problem(400, "invalid", fmt.Sprintf("select: there is no column %.40q", name), q.offer())
		}
		q.only = append(q.only, name)
	}
	return nil
}

// labRows reads a number of rows.
func labRows(name, text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, domain.Invalid(name, "is not a number of rows", "write it like "+name+"=20")
	}
	return int(n), nil
}
