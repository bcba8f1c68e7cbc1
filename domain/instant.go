package domain

import "time"

// Instant is a moment in milliseconds since 1970, UTC. Zero is no moment at all:
// a token whose expiry is zero never expires. There is one time type, and it
// cannot be compared with a string or another unit by accident.
type Instant int64

// instantLayout shows as much of a second as there is: at most milliseconds. It is
// the one with which package time is fastest.
const instantLayout = time.RFC3339Nano

// lastInstant is the end of the year 9999, the last that RFC 3339 can write.
var lastInstant = At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) - 1

// At cuts t to milliseconds.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMilli())
}

// Time is the moment in UTC; the zero Instant is the zero Time.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// Add moves the moment by d.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

func (i Instant) String() string {
	if i == 0 {
		return "never"
	}
	return i.Time().Format(instantLayout)
}

// MarshalText writes RFC 3339 in UTC.
func (i Instant) MarshalText() ([]byte, error) { return i.AppendText(nil) }

// AppendText is MarshalText without a copy.
func (i Instant) AppendText(text []byte) ([]byte, error) {
	return i.Time().AppendFormat(text, instantLayout), nil
}

// UnmarshalText reads RFC 3339. A date that the calendar does not have, such as
// 29 February 2027, is an error, never the day after.
func (i *Instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return Refuse(ErrInvalid, "%q is not a time in RFC 3339", "write it like 2027-11-22T12:00:00Z", clip(string(text)))
	}
	if *i = At(t); *i == 0 && !t.IsZero() {
		return Refuse(ErrInvalid, "1970 began at no moment that is known here", "leave it out")
	}
	return nil
}
