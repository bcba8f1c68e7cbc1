package projections

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"jeton/domain"
)

// Moment is when something is asked about: behind the last commit that an
// organization had by then.
type Moment struct {
	Position domain.Position // of that commit
	Time     domain.Instant  // the time that was asked for, or else that commit's
	exact    domain.Position // the position that was asked for; 0: a time was
}

// has reports whether something happened by then that is in no organization.
func (m Moment) has(at domain.Position, when domain.Instant) bool {
	if m.exact != 0 {
		return at <= m.exact
	}
	return when <= m.Time
}

type momentKey struct{}

// asOf lets the questions that are asked with ctx be about the rows as they were at
// a position. It is in ctx because every list is asked in the same words, whenever it
// is about.
func asOf(ctx context.Context, at domain.Position) context.Context {
	return context.WithValue(ctx, momentKey{}, at)
}

// dated is a question as it is to be asked.
func dated(ctx context.Context, query string) string {
	at, past := ctx.Value(momentKey{}).(domain.Position)
	if !past {
		return query
	}
	position := strconv.FormatInt(place(at), 10)
	return source.ReplaceAllStringFunc(query, func(found string) string {
		parts := source.FindStringSubmatch(found)
		table, alias := parts[2], parts[3]
		rows, kept := pastRows[table]
		if !kept {
			return found
		}
		if alias == "" {
			alias = " " + table
		}
		return parts[1] + " (" + strings.ReplaceAll(rows, "$at", position) + ")" + alias
	})
}

// begins is the number that a list of tokens begins before: of what there was then none
// is higher, and the index need not be read from its end.
func begins(ctx context.Context, before domain.Position) domain.Position {
	at, past := ctx.Value(momentKey{}).(domain.Position)
	if past && (before == 0 || before > at) {
		return at + 1
	}
	return before
}

// source is a table that a question reads, with the name that it goes by there.
var source = regexp.MustCompile(`\b(FROM|JOIN) ([a-z_]+)( [a-z]+)?\b`)

// pastRows are the rows of each table as they were. A token that a later commit has
// changed is the oldest copy behind the position: the only one that had begun by then.
// The plus keeps SQLite from searching by that bound instead of a page's own.
// Usage is no history: nothing is known of it.
var pastRows = map[string]string{
	"tokens": `
	SELECT c.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM tokens c
	WHERE +c.number <= $at AND NOT EXISTS (
		SELECT 1 FROM tokens_past p WHERE p.organization = c.organization AND p.id = c.id AND p.until > $at)
	UNION ALL
	SELECT * FROM tokens_past
	WHERE +number <= $at AND since <= $at AND until > $at`,
	"accounts":         versionsAt("accounts"),
	"organizations":    versionsAt("organizations"),
	"members":          versionsAt("members"),
	"service_accounts": versionsAt("service_accounts"),
	"engines":          versionsAt("engines"),
	"projects":         `SELECT * FROM projects WHERE number <= $at`,
	"token_usage":      `SELECT * FROM token_usage WHERE 1 = 0`,
	"token_usage_days": `SELECT * FROM token_usage_days WHERE 1 = 0`,
}

func versionsAt(table string) string {
	return "SELECT * FROM " + table + "_versions WHERE since <= $at AND until > $at"
}
