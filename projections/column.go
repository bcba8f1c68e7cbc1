package projections

import (
	"context"
	"database/sql"
	"encoding"
	"encoding/json"
	"fmt"
	"math"

	"jeton/domain"
)

// Page is a part of a list: so many rows behind a number.
type Page struct {
	After domain.Position // 0: from the beginning
	Limit int             // 0: 100; never more than 1000
}

const (
	usualLimit   = 100
	highestLimit = 1000
)

// atMost is a limit within limits.
func atMost(limit int) int {
	if limit <= 0 {
		return usualLimit
	}
	return min(limit, highestLimit)
}

// row is a row of a list: fields are pointers to its columns, in their order.
type row[R any] interface {
	*R
	fields() []any
}

// list asks for rows. A failure is ErrViews.
func list[R any, P row[R]](ctx context.Context, v *Views, query string, args ...any) ([]R, error) {
	rows, err := v.read.QueryxContext(ctx, v.read.Rebind(dated(ctx, query)), values(args)...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var found []R
	reveal := revealing{v.vault, map[string]string{}}
	for rows.Next() {
		var r R
		fields := P(&r).fields()
		if err := rows.Scan(fields...); err != nil {
			return nil, unavailable(err)
		}
		if err := reveal.all(ctx, fields); err != nil {
			return nil, unavailable(err)
		}
		found = append(found, r)
	}
	return found, unavailable(rows.Err())
}

// one asks for the one row there is; none is ErrNotFound.
func one[R any, P row[R]](ctx context.Context, v *Views, noun, query string, args ...any) (r R, err error) {
	found, err := list[R, P](ctx, v, query, args...)
	if err != nil {
		return r, err
	}
	if len(found) == 0 {
		return r, domain.Refuse(domain.ErrNotFound, "there is no such %s", "look at the list of %[1]ss", noun)
	}
	return found[0], nil
}

// values turns our types into what databases take.
func values(args []any) []any {
	for i, arg := range args {
		switch arg := arg.(type) {
		case domain.Hash:
			args[i] = arg[:]
		case domain.Position:
			args[i] = place(arg)
		case domain.Instant:
			args[i] = int64(arg)
		case interface{ IsZero() bool }:
			args[i] = ""
			if !arg.IsZero() {
				args[i] = arg.(fmt.Stringer).String()
			}
		case fmt.Stringer:
			args[i] = arg.String()
		}
	}
	return args
}

// place is a position as databases keep it. They have no larger numbers, and no
// log is so long.
func place(p domain.Position) int64 { return int64(min(p, math.MaxInt64)) }

// text reads a column into what unmarshals text; an empty one leaves it alone.
type text struct{ into encoding.TextUnmarshaler }

// Scan implements sql.Scanner.
func (t text) Scan(column any) error {
	var s sql.NullString
	if err := s.Scan(column); err != nil || s.String == "" {
		return err
	}
	return t.into.UnmarshalText([]byte(s.String))
}

// document reads a column of JSON; an empty one leaves it alone.
type document struct{ into any }

// Scan implements sql.Scanner.
func (d document) Scan(column any) error {
	var s sql.NullString
	if err := s.Scan(column); err != nil || s.String == "" {
		return err
	}
	return json.Unmarshal([]byte(s.String), d.into)
}

// written is the way back.
func written(from interface{ IsZero() bool }) (string, error) {
	if from.IsZero() {
		return "", nil
	}
	return whole(from)
}

// whole is written for what is never left out.
func whole(from any) (string, error) {
	text, err := json.Marshal(from)
	return string(text), err
}

// hash reads a column of 32 bytes; one that is not there is no hash.
type hash struct{ into *domain.Hash }

// Scan implements sql.Scanner.
func (h hash) Scan(column any) error {
	switch bytes, _ := column.([]byte); len(bytes) {
	case 0, len(h.into):
		copy(h.into[:], bytes)
		return nil
	default:
		return fmt.Errorf("%d bytes are no hash", len(bytes))
	}
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
