package http

import (
	"strings"
	"testing"
	"time"

	"jeton/domain"
)

func FuzzCursor(f *testing.F) {
	for _, at := range []domain.Position{1, 42, 1 << 62} {
		f.Add(cursor("tokens", at))
	}
	for _, text := range []string{"", "!", "dG9rZW5zOg", "dG9rZW5zOjA", "dG9rZW5zOi0x", "dG9rZW5zOjAx", cursor("members", 1), cursor("tokens", 1) + "="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := PageQuery{Cursor: text}.at("tokens")
		if err == nil && text != "" && (at == 0 || cursor("tokens", at) != text) {
			t.Errorf("%q is taken for the cursor at %d", text, at)
		}
	})
}

func FuzzIfMatch(f *testing.F) {
	for _, text := range []string{"", "*", `"42"`, `"0"`, `W/"42"`, "42", `"1", "2"`, `"`, `""`, `"-1"`, `"042"`, `"18446744073709551616"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := IfMatch{text}.seen()
		if trimmed := strings.TrimSpace(text); err == nil && trimmed != "" && trimmed != "*" && etag(at) != trimmed {
			t.Errorf("%q is taken for the version %d", text, at)
		}
	})
}

// Whatever is taken for an expiry lies in the future and can be written down.
func FuzzExpiry(f *testing.F) {
	for _, text := range []string{"720h", "30d", "1y2w3d4h5m6s", "9999y", "never", "1ns", "-1h", "9223372036854775807ns", "2h2562047h47m"} {
		f.Add("", text)
	}
	for _, text := range []string{"2027-06-30T12:00:00Z", "2028-02-29T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00Z"} {
		f.Add(text, "")
	}
	f.Fuzz(func(t *testing.T, at, in string) {
		end, never, err := Expiry{at, in}.expires(noon)
		switch {
		case err != nil, never && in == "never" && at == "", at == "" && in == "":
		case never || end <= domain.At(noon):
			t.Errorf("expires_at %q, expires_in %q: ends %v, never %t", at, in, end, never)
		case end > domain.At(time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)) && in != "":
			t.Errorf("expires_in %q ends %v", in, end)
		}
	})
}
