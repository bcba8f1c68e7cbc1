package http

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"jeton/domain"
)

// either reads filters of which one must be passed: (a.eq.1,b.ilike.x*).
func (q *labQuery) either(value string) (labFilter, error) {
	inner, opened := strings.CutPrefix(value, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !opened || !closed {
		return nil, domain.Invalid("or", "is not well formed", "write it like or=(name.eq.x,id.eq.1)")
	}
	var some []labFilter
	for part := range strings.SplitSeq(inner, ",") {
		name, rest, _ := strings.Cut(part, ".")
		operator, operand, _ := strings.Cut(rest, ".")
		passes, err := q.filter(name, operator, operand)
		if err != nil {
			return nil, err
		}
		some = append(some, passes)
	}
	return func(row reflect.Value) bool {
		return slices.ContainsFunc(some, func(passes labFilter) bool { return passes(row) })
	}, nil
}

// filter reads a filter: a column, and an operator with its operand.
func (q *labQuery) filter(name, operator, operand string) (labFilter, error) {
	column, known := q.columns.find(name)
	if !known {
		return nil, q.unknown(name)
	}
	if list, is := labList(operator, operand); is {
		return q.oneOf(column, list)
	}
	switch column.kind {
	case labNumeric, labMoment:
		if compares, can := labComparisons[operator]; can {
			return column.numbers(compares, operator, operand)
		}
	case labTruth:
		if operator == "eq" {
			return column.truth(operand)
		}
	case labTextual:
		return q.texts(column, operator, operand)
	}
	return nil, q.unknown(name)
}

func (q *labQuery) unknown(name string) error {
	return problem(400, "invalid", fmt.Sprintf("%.40q cannot be asked like that", name), q.offer())
}

// offer is what can be asked for.
func (q *labQuery) offer() string {
	var names []string
	for _, c := range q.columns {
		if c.kind != labOther {
			names = append(names, c.name)
		}
	}
	return "use eq., neq., lt., lte., gt., gte., ilike., in. with the columns " + strings.Join(names, ", ") + "; select, order, limit and offset"
}

// labList reads the operand of in: (1,2,3).
func labList(operator, operand string) (list []string, is bool) {
	inner, opened := strings.CutPrefix(operand, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if operator != "in" || !opened || !closed {
		return nil, false
	}
	return strings.Split(inner, ","), true
}

func (q *labQuery) oneOf(column labColumn, list []string) (labFilter, error) {
	var some []labFilter
	for _, operand := range list {
		passes, err := q.filter(column.name, "eq", strings.Trim(operand, `"`))
		if err != nil {
			return nil, err
		}
		some = append(some, passes)
	}
	return func(row reflect.Value) bool {
		return slices.ContainsFunc(some, func(passes labFilter) bool { return passes(row) })
	}, nil
}

var labComparisons = map[string]func(int) bool{
	"eq": func(c int) bool { return c == 0 }, "neq": func(c int) bool { return c != 0 },
	"lt": func(c int) bool { return c < 0 }, "lte": func(c int) bool { return c <= 0 },
	"gt": func(c int) bool { return c > 0 }, "gte": func(c int) bool { return c >= 0 },
}

func (c labColumn) numbers(compares func(int) bool, operator, operand string) (labFilter, error) {
	n, err := strconv.ParseInt(operand, 10, 64)
	if c.kind == labMoment {
		var at domain.Instant
		at, err = labTime(operand)
		n = int64(at)
	}
	switch {
	case err != nil && c.kind == labMoment:
		return nil, domain.Invalid(c.name, "is not a timestamp", fmt.Sprintf("write it like %s=%s.2027-11-22T12:00:00Z", c.name, operator))
	case err != nil:
		return nil, domain.Invalid(c.name, "is not a number", fmt.Sprintf("write it like %s=%s.1", c.name, operator))
	}
	return func(row reflect.Value) bool {
		is, there := c.number(row)
		return there && compares(cmp.Compare(is, n))
	}, nil
}

func (c labColumn) truth(operand string) (labFilter, error) {
	wanted := operand == "true"
	if !wanted && operand != "false" {
		return nil, domain.Invalid(c.name, "is not true or false", "write "+c.name+"=eq.true")
	}
	return func(row reflect.Value) bool {
		value, there := c.of(row)
		return there && value.Bool() == wanted
	}, nil
}

func (q *labQuery) texts(c labColumn, operator, operand string) (labFilter, error) {
	passes := func(string) bool { return false }
	switch operator {
	case "eq":
		passes = func(text string) bool { return text == operand }
	case "neq":
		passes = func(text string) bool { return text != operand }
	case "ilike":
		pattern, err := labPattern(c.name, operand)
		if err != nil {
			return nil, err
		}
		passes = pattern.MatchString
	case "fts(simple)", "fts":
		wanted, err := labWords(c.name, operand)
		if err != nil {
			return nil, err
		}
		passes = wanted.in
	default:
		return nil, q.unknown(c.name)
	}
	return func(row reflect.Value) bool {
		text, there := c.text(row)
		return there && passes(text)
	}, nil
}

// labPattern reads the pattern of an ilike: * and % stand for anything, _ for one
// character, and what is behind a backslash for itself. Names are short; a long
// pattern would only keep us busy.
func labPattern(field, like string) (*regexp.Regexp, error) {
	if len(like) > labLongestPattern {
		return nil, domain.Invalid(field, "is too long for a pattern", fmt.Sprintf("use at most %d bytes", labLongestPattern))
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

// labSearch is the words that a text must have, all of them, in whatever order and case.
type labSearch []string

// labWords reads the operand of a search. The console escapes it twice.
func labWords(field, operand string) (labSearch, error) {
	if once, err := url.QueryUnescape(operand); err == nil {
		operand = once
	}
	if len(operand) > labLongestPattern {
		return nil, domain.Invalid(field, "is too long to be searched for", fmt.Sprintf("use at most %d bytes", labLongestPattern))
	}
	return wordsOf(operand), nil
}

func wordsOf(text string) labSearch { return wordLetters.FindAllString(strings.ToLower(text), -1) }

var wordLetters = regexp.MustCompile(`[\p{L}\p{N}_]+`)

func (all labSearch) in(text string) bool {
	has := wordsOf(text)
	return len(all) > 0 && !slices.ContainsFunc(all, func(word string) bool { return !slices.Contains(has, word) })
}

// labTime reads a moment as people and programs write it.
func labTime(text string) (at domain.Instant, err error) {
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		var t time.Time
		if t, err = time.Parse(layout, text); err == nil {
			return domain.At(t), nil
		}
	}
	return 0, err
}
