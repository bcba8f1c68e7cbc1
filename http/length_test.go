package http

import (
	"errors"
	"strings"
	"testing"

	"jeton/domain"
)

func TestLengths(t *testing.T) {
	for text, want := range map[string]struct {
		length domain.Seconds
		again  string
	}{
		"":               {0, ""},
		"0":              {0, ""},
		"0s":             {0, ""},
		"0d":             {0, ""},
		"1s":             {1, "1s"},
		"90s":            {90, "90s"},
		"60s":            {60, "1m"},
		"15m":            {900, "15m"},
		"90m":            {5400, "90m"},
		"1h30m":          {5400, "90m"},
		"1h":             {3600, "1h"},
		"24h":            {86400, "1d"},
		"36h":            {129600, "36h"},
		"7d":             {604800, "7d"},
		"2w":             {1209600, "14d"},
		"30d":            {2592000, "30d"},
		"1y":             {31536000, "1y"},
		"365d":           {31536000, "1y"},
		"366d":           {31622400, "366d"},
		"1y2w3d4h5m6s":   {33019506, "33019506s"},
		"0001d":          {86400, "1d"},
		"1000y":          {31536000000, "1000y"},
		"31536000000s":   {0, "!"},
		"1d0s":           {86400, "1d"},
		"0000000030s":    {30, "30s"},
		"9999999999s":    {9999999999, "9999999999s"},
		"00000000030s":   {0, "!"},
		"999h59m60s":     {3600000, "1000h"},
		"1000y1s":        {0, "!"},
		"9999999999y":    {0, "!"},
		"9999999999y10w": {0, "!"},
	} {
		got, err := length("f", text)
		if (err != nil) != (want.again == "!") {
			t.Errorf("%q: error %v", text, err)
			continue
		}
		if err == nil && (got != want.length || describeLength(got) != want.again) {
			t.Errorf("%q: %d and %q, want %d and %q", text, got, describeLength(got), want.length, want.again)
		}
	}
}

// What is written is read as what it was.
func FuzzLengths(f *testing.F) {
	for _, text := range []string{"", "90s", "1h30m", "1y2w3d4h5m6s", "30D", "-1d", "1.5h", "٣d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := length("f", text)
		if err != nil {
			return
		}
		if got < 0 || got > longest {
			t.Fatalf("%q is %d seconds", text, got)
		}
		if again, err := length("f", describeLength(got)); again != got || err != nil {
			t.Fatalf("%q is %d seconds, written as %q, which is %d: %v", text, got, describeLength(got), again, err)
		}
	})
}

var badLengths = []string{
	" ", "1", "90", "d", "s", "1x", "1D", "1H", "1 d", " 1d", "1d ", "1d 2h", "1d,2h", "+1d", "-1d", "1.5h", "1,5h", "1e3s", "0x1s", "1ms", "1ns", "1µs",
	"1h1d", "1m1h", "1d1d", "1s1s", "1m30", "30d1y", "1M", "1month", "1 day", "30days", "P30D", "PT1H", "never", "none", "null", "forever", "∞", "٣d", "１d",
	"00:15", "1:30h", "12345678901s", "99999999999999999999d", "1000y1s", "9999999999y", "2027-06-30T12:00:00Z", "1d\n", "\t1d", "1d\x00", "1__d", "1_000s",
	strings.Repeat("1", 10_000) + "d", strings.Repeat("1h", 5_000),
}

func TestBadLengths(t *testing.T) {
	for _, text := range badLengths {
		_, err := length("longest_overlap", text)
		var refused *domain.Refusal
		if !errors.As(err, &refused) || !errors.Is(err, domain.ErrInvalid) {
			t.Errorf("%.40q: error %v, want a refusal", text, err)
			continue
		}
		if refused.Field != "longest_overlap" || refused.Next == "" || len(text) > 10 && strings.Contains(refused.Error()+refused.Next, text) {
			t.Errorf("%.40q: refused as %+v", text, refused)
		}
	}
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"2027-06-30T12:00:00Z":        "2027-06-30T12:00:00Z",
		"2027-06-30T14:00:00.5+02:00": "2027-06-30T12:00:00.5Z",
		"2000-02-29T00:00:00Z":        "2000-02-29T00:00:00Z",
		"2027-02-29T00:00:00Z":        "",
		"2027-06-31T00:00:00Z":        "",
		"2027-06-30T24:00:00Z":        "",
		"2027-06-30T1:00:00Z":         "",
		"2027-06-30T12:00:00,5Z":      "",
		"2027-06-30T12:00:00":         "",
		"2027-06-30 12:00:00Z":        "",
		"2027-06-30":                  "",
		"10000-01-01T00:00:00Z":       "",
		"0001-01-01T00:00:00Z":        "",
		"1970-01-01T00:00:00Z":        "",
		"never":                       "",
		"30d":                         "",
		"":                            "",
	} {
		at, err := moment("latest_expiry", text)
		if (err == nil) != (want != "") || err == nil && at.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, at, err, want)
		}
	}
}
