package domain

import (
	"encoding/json"
	"testing"
	"time"
)

func TestInstantInText(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-22T12:00:00Z":                "2026-11-22T12:00:00Z",
		"2026-11-22T12:00:00.000Z":            "2026-11-22T12:00:00Z",
		"2026-11-22T12:00:00.5Z":              "2026-11-22T12:00:00.5Z",
		"2026-11-22T12:00:00.123Z":            "2026-11-22T12:00:00.123Z",
		"2026-11-22T12:00:00.123999999Z":      "2026-11-22T12:00:00.123Z",
		"2026-11-22T13:30:00+01:30":           "2026-11-22T12:00:00Z",
		"2026-11-21T23:59:59.999-00:01":       "2026-11-22T00:00:59.999Z",
		"2028-02-29T00:00:00Z":                "2028-02-29T00:00:00Z",
		"1969-12-31T23:59:59.999Z":            "1969-12-31T23:59:59.999Z",
		"9999-12-31T23:59:59.999Z":            "9999-12-31T23:59:59.999Z",
		"2026-11-22T12:00:00.000000000+00:00": "2026-11-22T12:00:00Z",
	} {
		var i, again Instant
		if err := i.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := i.String(); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
		written, err := i.MarshalText()
		if err != nil || string(written) != want {
			t.Errorf("%q is marshaled %q, %v, want %q", text, written, err, want)
		}
		if err := again.UnmarshalText(written); err != nil || again != i {
			t.Errorf("%q is read back as %v, %v", written, again, err)
		}
	}
}

func TestInstantRefuses(t *testing.T) {
	for _, text := range []string{
		"", "never", "now", "2026-11-22", "12:00:00Z", "2026-11-22T12:00:00", "2026-11-22 12:00:00Z",
		"2026-11-22T12:00Z", "2026-11-22T12:00:60Z", "2026-11-22T24:00:00Z", "2026-11-31T12:00:00Z",
		"2027-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
		"02026-11-22T12:00:00Z", "10000-01-01T00:00:00Z", "1790251200", "2026-11-22T12:00:00Z ", " 2026-11-22T12:00:00Z",
		"2026-11-22T12:00:00+25:00", "2026-11-22T12:00:00 UTC", "2026-11-22T12:00:00Z\x00",
	} {
		var i Instant
		checkRefusal(t, i.UnmarshalText([]byte(text)), ErrInvalid, "is not a time")
	}
}

func TestInstantAndTime(t *testing.T) {
	if got := At(time.Time{}); got != 0 {
		t.Errorf("the zero time is %d, want 0", got)
	}
	if got := Instant(0).Time(); !got.IsZero() {
		t.Errorf("the zero instant is %v", got)
	}
	if got := Instant(0).String(); got != "never" {
		t.Errorf("the zero instant is called %q", got)
	}
	east := time.FixedZone("east", 5*3600)
	if got, want := At(time.Date(2026, 11, 22, 17, 0, 0, 1_999_999, east)), today+1; got != want {
		t.Errorf("is %v, want %v: cut to milliseconds", got, want)
	}
	if got := today.Time(); got.Location() != time.UTC || At(got) != today {
		t.Errorf("today is %v", got)
	}
	if got, want := today.Add(36*time.Hour+1500*time.Microsecond), instant("2026-11-24T00:00:00.001Z"); got != want {
		t.Errorf("is %v, want %v", got, want)
	}
	if got, want := today.Add(-time.Millisecond), today-1; got != want {
		t.Errorf("is %v, want %v", got, want)
	}
}

func TestInstantInJSON(t *testing.T) {
	type record struct {
		At  Instant `json:"at,omitzero"`
		Due Instant `json:"due"`
	}
	for want, r := range map[string]record{
		`{"at":"2026-11-22T12:00:00Z","due":"2027-11-22T12:00:00Z"}`: {today, nextYear},
		`{"due":"2026-11-22T12:00:00Z"}`:                             {0, today},
		`{"due":"0001-01-01T00:00:00Z"}`:                             {},
	} {
		got, err := json.Marshal(r)
		if err != nil || string(got) != want {
			t.Errorf("%+v is %s, %v, want %s", r, got, err, want)
		}
		var again record
		if err := json.Unmarshal(got, &again); err != nil || again != r {
			t.Errorf("%s is read as %+v, %v, want %+v", got, again, err, r)
		}
	}
	for _, data := range []string{`{"at":1}`, `{"at":true}`, `{"at":""}`, `{"at":"0"}`} {
		if err := json.Unmarshal([]byte(data), new(record)); err == nil {
			t.Errorf("%s is read", data)
		}
	}
}
