package http

import (
	"regexp"
	"strconv"

	"jeton/domain"
)

// units are what lengths of time are counted in, the longest first. A year has
// 365 days here: a length is the same whenever it begins.
var units = []struct {
	name   string
	length domain.Seconds
}{
	{"y", 365 * 24 * 60 * 60}, {"w", 7 * 24 * 60 * 60}, {"d", 24 * 60 * 60}, {"h", 60 * 60}, {"m", 60}, {"s", 1},
}

// lengths is what a length looks like: numbers with units, each unit at most once,
// the longer before the shorter.
var lengths = regexp.MustCompile(`^(?:([0-9]{1,10})y)?(?:([0-9]{1,10})w)?(?:([0-9]{1,10})d)?(?:([0-9]{1,10})h)?(?:([0-9]{1,10})m)?(?:([0-9]{1,10})s)?$`)

// longest is the longest length that can be written: what is longer would not fit
// into moments.
const longest = 1000 * 365 * 24 * 60 * 60

// length reads a length of time like 90s, 15m, 30d or 1h30m. No text is no length,
// and so is 0. What can't be read is an error about the field, which doesn't repeat it.
func length(field, text string) (sum domain.Seconds, err error) {
	if text == "0" {
		return 0, nil
	}
	parts := lengths.FindStringSubmatch(text)
	if parts == nil {
		return 0, domain.Invalid(field, "is not a length of time", "write it like 90s, 15m, 1h30m, 30d, 2w or 1y: whole numbers, the longer unit first")
	}
	for i, unit := range units {
		n, _ := strconv.ParseInt(parts[i+1], 10, 64) // at most ten digits; none are 0
		sum += domain.Seconds(n) * unit.length
	}
	if sum > longest {
		return 0, domain.Invalid(field, "is longer than a thousand years", "choose a shorter time")
	}
	return sum, nil
}

// describeLength writes a length in the largest unit that divides it, so that it
// reads as people say it: 90m, 30d. Weeks are left to the reader. No length is no text.
func describeLength(s domain.Seconds) string {
	for _, unit := range units {
		if s != 0 && s%unit.length == 0 && unit.name != "w" {
			return strconv.FormatInt(int64(s/unit.length), 10) + unit.name
		}
	}
	return ""
}

// describeLengths writes several, each as describeLength does.
func describeLengths(all []domain.Seconds) []string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = describeLength(s)
	}
	return texts
}

// moment reads RFC 3339 as strictly as it is written. Unlike expiresAt it takes
// what has passed.
func moment(field, text string) (at domain.Instant, err error) {
	if !moments.MatchString(text) || at.UnmarshalText([]byte(text)) != nil || at == 0 {
		return 0, domain.Invalid(field, "is not a moment in RFC 3339, or on a day that the calendar does not have", "write it like 2027-06-30T12:00:00Z")
	}
	return at, nil
}
