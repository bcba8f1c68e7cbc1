package http

import (
	"regexp"
	"strconv"
	"time"

	"jeton/domain"
)

// Expiry is when a new token ends: a moment, a while from now, never, or (with
// neither field) a year from now. It is exported because huma looks into exported
// fields only.
type Expiry struct {
	ExpiresAt string `json:"expires_at,omitempty" doc:"When it ends, in RFC 3339. Give this or expires_in." example:"2027-06-30T12:00:00Z"`
	ExpiresIn string `json:"expires_in,omitempty" doc:"After which time it ends: hours, minutes and seconds as in 720h or 1h30m; days, weeks and years as in 30d, 2w, 1y; or never. Without expires_at and expires_in: after a year."`
}

// expires is when the token ends; zero: as the domain has it, unless never.
func (e Expiry) expires(now time.Time) (at domain.Instant, never bool, err error) {
	switch {
	case e.ExpiresAt != "" && e.ExpiresIn != "":
		return 0, false, domain.Invalid("expires_in", "is given together with expires_at", "give one of them")
	case e.ExpiresAt != "":
		at, err = expiresAt(e.ExpiresAt, now)
	case e.ExpiresIn == "never":
		never = true
	case e.ExpiresIn != "":
		at, err = expiresIn(e.ExpiresIn, now)
	}
	return at, never, err
}

// first is expires for a token that may not be for ever.
func (e Expiry) first(now time.Time) (domain.Instant, error) {
	at, never, err := e.expires(now)
	if never {
		return 0, domain.Invalid("expires_in", "is never, and a first token ends", "give a time of at most some years")
	}
	return at, err
}

// moved is the new end of a token; nil: it stays, zero: never.
func (e Expiry) moved(now time.Time) (*domain.Instant, error) {
	if e == (Expiry{}) {
		return nil, nil
	}
	at, _, err := e.expires(now)
	return &at, err
}

// expiresAt reads RFC 3339 as strictly as it is written: a date that the calendar
// does not have is an error, never the day after. What has passed is refused
// here, because the moment 0 means something else to the domain.
func expiresAt(text string, now time.Time) (domain.Instant, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !moments.MatchString(text) {
		return 0, domain.Invalid("expires_at", "is not a moment in RFC 3339, or on a day that the calendar does not have", "write it like 2027-06-30T12:00:00Z")
	}
	if at := domain.At(t); at > domain.At(now) {
		return at, nil
	}
	return 0, domain.Invalid("expires_at", "has passed", "choose a time in the future")
}

// moments is what RFC 3339 looks like. time.Parse knows the calendar, but is less
// strict about hours of one digit and commas.
var moments = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)

var durations = regexp.MustCompile(`^(?:([0-9]{1,4})y)?(?:([0-9]{1,6})w)?(?:([0-9]{1,7})d)?([0-9][0-9.a-zµ]*)?$`)

// expiresIn adds a duration to now. Years are years of the calendar, so that 1y
// is what a token has without being asked.
func expiresIn(text string, now time.Time) (domain.Instant, error) {
	unclear := domain.Invalid("expires_in", "is not a duration", "write it like 720h, 30d, 1y or never")
	if len(text) > 40 {
		return 0, unclear
	}
	parts := durations.FindStringSubmatch(text)
	if parts == nil {
		return 0, unclear
	}
	var rest time.Duration
	if parts[4] != "" {
		var err error
		if rest, err = time.ParseDuration(parts[4]); err != nil {
			return 0, unclear
		}
	}
	t := now.UTC().AddDate(count(parts[1]), 0, 7*count(parts[2])+count(parts[3])).Add(rest)
	switch {
	case t.Before(now.Add(time.Second)):
		return 0, domain.Invalid("expires_in", "is less than a second", "choose a longer time")
	case t.Year() > 9999:
		return 0, domain.Invalid("expires_in", "ends after the year 9999", "choose a shorter time, or never")
	}
	return domain.At(t), nil
}

// count reads what the pattern let through; nothing is zero.
func count(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
