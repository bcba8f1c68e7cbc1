package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

func TestIDInText(t *testing.T) {
	for text, want := range map[string]ID{
		"0000000000000000": {},
		"0000000000000001": {9: 1},
		"000000000000000z": {9: 31},
		"0000000000000010": {9: 32},
		"zzzzzzzzzzzzzzzz": {255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
		"g000000000000000": {0: 128},
		"00000001g0000000": {4: 1, 5: 128},
		"0123456789abcdef": {0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf},
	} {
		got, err := ParseID(text)
		if err != nil || got != want {
			t.Errorf("%q is %x, %v, want %x", text, got[:], err, want[:])
		}
		if got := want.String(); got != text {
			t.Errorf("%x is written %q, want %q", want[:], got, text)
		}
	}
}

func TestIDsComeBackFromText(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	format := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{16}$`)
	seen := map[ID]bool{}
	for range 1000 {
		id, err := NewID(random)
		if err != nil || seen[id] {
			t.Fatalf("drew %v, %v, again: %t", id, err, seen[id])
		}
		seen[id] = true
		again, err := ParseID(id.String())
		if err != nil || again != id || !format.MatchString(id.String()) {
			t.Fatalf("%x is written %q, read as %x, %v", id[:], id, again[:], err)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	for _, text := range []string{
		"", "0", "000000000000000", "00000000000000000", "0123456789ABCDEF", "0123456789abcdeF",
		"000000000000000i", "000000000000000l", "000000000000000o", "000000000000000u", "u000000000000000",
		"0123456-89abcdef", "01234567-89abcdef", "0123456789abcde ", " 123456789abcdef", "0123456789abcde\n",
		"0123456789abcdé", "0123456789abcde\x00", "0123456789abcde\xff", strings.Repeat("0", 10_000), "ⅷⅷⅷⅷⅷ0",
	} {
		got, err := ParseID(text)
		checkRefusal(t, err, ErrInvalid, "is no")
		if got != (ID{}) {
			t.Errorf("%q is refused and read as %v", text, got)
		}
		var id TokenID
		if err := id.UnmarshalText([]byte(text)); !errors.Is(err, ErrInvalid) || !id.IsZero() {
			t.Errorf("%q is unmarshaled as %v, %v", text, id, err)
		}
	}
}

func TestIDFailsWithItsReader(t *testing.T) {
	broken := errors.New("no more")
	for name, random := range map[string]io.Reader{
		"at once":      iotest.ErrReader(broken),
		"in the midst": io.MultiReader(strings.NewReader("123456789"), iotest.ErrReader(broken)),
	} {
		if _, err := NewID(random); !errors.Is(err, broken) {
			t.Errorf("%s: error is %v, want %v", name, err, broken)
		}
	}
	if _, err := NewID(strings.NewReader("123456789")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a reader that ends: error is %v", err)
	}
	if _, err := NewID(iotest.OneByteReader(strings.NewReader("1234567890"))); err != nil {
		t.Errorf("a slow reader: %v", err)
	}
}

func TestRandomIDsDiffer(t *testing.T) {
	if a, b := RandomID(), RandomID(); a == b || a.IsZero() || b.IsZero() {
		t.Errorf("drew %v and %v", a, b)
	}
	if a, b := RandomCommandID(), RandomCommandID(); a == b || a.IsZero() || b.IsZero() {
		t.Errorf("drew %v and %v", a, b)
	}
}

func TestIDsInJSON(t *testing.T) {
	type record struct {
		Organization OrganizationID    `json:"organization,omitzero"`
		Account      AccountID         `json:"account,omitzero"`
		Token        TokenID           `json:"token"`
		Command      CommandID         `json:"command,omitzero"`
		Hash         Hash              `json:"hash,omitzero"`
		Names        map[TokenID]Hash  `json:"names,omitempty"`
		Kinds        map[AccountID]int `json:"kinds,omitempty"`
	}
	for want, r := range map[string]record{
		`{"token":"0000000000000000"}`: {},
		`{"organization":"0000000000000001","account":"0000000000000002","token":"0000000000000003",` +
			`"command":"04000000000000000000000000000000","hash":"05` + strings.Repeat("00", 31) + `"}`: {
			OrganizationID{ID{9: 1}}, AccountID{ID{9: 2}}, TokenID{ID{9: 3}}, CommandID{4}, Hash{5}, nil, nil,
		},
		`{"token":"0000000000000000","names":{"000000000000000z":"` + strings.Repeat("00", 32) + `"},"kinds":{"000000000000000a":1}}`: {
			Names: map[TokenID]Hash{{ID{9: 31}}: {}}, Kinds: map[AccountID]int{{ID{9: 10}}: 1},
		},
	} {
		got, err := json.Marshal(r)
		if err != nil || string(got) != want {
			t.Errorf("is %s, %v, want %s", got, err, want)
		}
		var again record
		if err := json.Unmarshal(got, &again); err != nil {
			t.Errorf("%s: %v", got, err)
		}
		if once, _ := json.Marshal(again); !bytes.Equal(once, got) {
			t.Errorf("%s comes back as %s", got, once)
		}
	}
	for _, data := range []string{`{"token":1}`, `{"token":""}`, `{"token":"0"}`, `{"token":[]}`} {
		if err := json.Unmarshal([]byte(data), new(record)); err == nil {
			t.Errorf("%s is read", data)
		}
	}
}

func TestHexadecimal(t *testing.T) {
	text := strings.Repeat("0f", 32)
	var h, again Hash
	if err := h.UnmarshalText([]byte(text)); err != nil || h.String() != text || h.IsZero() {
		t.Errorf("%s is read as %v, %v", text, h, err)
	}
	if written, err := h.MarshalText(); err != nil || again.UnmarshalText(written) != nil || again != h {
		t.Errorf("%v is read back as %v, %v", h, again, err)
	}
	var c CommandID
	if err := c.UnmarshalText([]byte(text[:32])); err != nil || c.String() != text[:32] || c.IsZero() {
		t.Errorf("%s is read as %v, %v", text[:32], c, err)
	}
	for _, wrong := range []string{"", "0f", text[1:], text + "0", text + "0f", text[:63] + "g", strings.Repeat("-", 64), strings.Repeat("\xff", 64)} {
		checkRefusal(t, new(Hash).UnmarshalText([]byte(wrong)), ErrInvalid, "hexadecimal")
	}
	for _, wrong := range []string{"", "0f", text, text[:31], text[:33], text[:31] + "g", strings.Repeat(" ", 32)} {
		checkRefusal(t, new(CommandID).UnmarshalText([]byte(wrong)), ErrInvalid, "hexadecimal")
	}
}

func FuzzParseID(f *testing.F) {
	for _, text := range []string{"", "0123456789abcdef", "zzzzzzzzzzzzzzzz", "0123456789ABCDEF", "0123456789abcdé"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err == nil && id.String() != text {
			t.Errorf("%q is read and written %q", text, id)
		}
		if err != nil && (id != ID{} || !refused(err, ErrInvalid)) {
			t.Errorf("%q is %v and %v", text, id, err)
		}
	})
}
