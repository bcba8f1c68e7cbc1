package domain

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

var secretFormat = regexp.MustCompile(`^jtn_(pat|adm|svc)_[0-9a-hjkmnp-tv-z]{16}[0-9A-Za-z]{36}[0-9A-Za-z]{6}$`)

// checksumOf is the checksum as the comment on Secret specifies it, computed the
// slow way: bit by bit, and with an alphabet of its own.
func checksumOf(text string) string {
	sum := ^uint32(0)
	for _, b := range []byte(text) {
		sum ^= uint32(b)
		for range 8 {
			low := sum & 1
			sum >>= 1
			if low == 1 {
				sum ^= 0xedb88320
			}
		}
	}
	digits := ""
	for n := uint64(^sum); len(digits) < 6; n /= 62 {
		d := byte(n % 62)
		switch {
		case d < 10:
			d += '0'
		case d < 36:
			d += 'A' - 10
		default:
			d += 'a' - 36
		}
		digits = string(d) + digits
	}
	return digits
}

func drawn(t testing.TB, kind TokenKind, id TokenID, seed byte) Secret {
	t.Helper()
	s, err := NewSecret(kind, id, rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// These were computed by another program, in another language.
func TestSecretVectors(t *testing.T) {
	for text, c := range map[string]struct {
		kind TokenKind
		id   string
		hash string
	}{
		"jtn_pat_0123456789abcdef0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ3jVUFJ": {Personal, "0123456789abcdef", "c1b9d05a988ea27afcab5009b26e93235dcf2b65b6caf8f8cc11997d8fe6560b"},
		"jtn_adm_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz1gxYVF": {Administrative, "zzzzzzzzzzzzzzzz", "20a7740caefd94c3a4549af0c9be68bf0e1ff5add97f795a50ee46de082a0678"},
		"jtn_pat_000000000000000000000000000000000000000000000000000017ssJn": {Personal, "0000000000000000", "865820ee723e1866184c4c5eb820ec65ac49454562204578250efb9f14315e34"},
		"jtn_adm_00000000000000000000000000000000000000000000001006640000XT": {Administrative, "0000000000000000", "856802dc920fb883a1fbc1ffadd405139c5a2aff29015268d75ebb21641d0e6a"},
	} {
		s, ok := ParseSecret(text)
		if !ok || s.Kind != c.kind || s.Token.String() != c.id || s.Hash.String() != c.hash {
			t.Errorf("%s is %v %v %v, %t, want %v %v %v", text, s.Kind, s.Token, s.Hash, ok, c.kind, c.id, c.hash)
		}
		if got := text[:60] + checksumOf(text[:60]); got != text {
			t.Errorf("the slow way makes %s of %s", got, text)
		}
	}
}

func TestSecretComesBack(t *testing.T) {
	random := rand.NewChaCha8([32]byte{2})
	seen := map[string]bool{}
	for i := range 1000 {
		kind, prefix := Personal, "jtn_pat_"
		switch i % 3 {
		case 1:
			kind, prefix = Administrative, "jtn_adm_"
		case 2:
			kind, prefix = Service, "jtn_svc_"
		}
		id, err := NewID(random)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := NewSecret(kind, TokenID{id}, random)
		if err != nil {
			t.Fatal(err)
		}
		text := secret.Reveal()
		if len(text) != 66 || SecretLength != 66 || !secretFormat.MatchString(text) || !strings.HasPrefix(text, prefix+id.String()) {
			t.Fatalf("drew %s for %v %v", text, kind, id)
		}
		if got, want := text[60:], checksumOf(text[:60]); got != want {
			t.Fatalf("%s: checksum is %s, want %s", text, got, want)
		}
		shown, ok := ParseSecret(text)
		if want := (Shown{kind, TokenID{id}, sha256.Sum256([]byte(text))}); !ok || shown != want || shown.Hash != secret.Hash() {
			t.Fatalf("%s comes back as %+v, %t, want %+v", text, shown, ok, want)
		}
		if seen[text[24:60]] {
			t.Fatalf("%s was drawn twice", text)
		}
		seen[text[24:60]] = true
	}
}

// A verification token looks like the secret of a token, and is none: it has no holder
// and opens nothing but the door that it was drawn for.
func TestVerificationIsNoToken(t *testing.T) {
	random, seen := rand.NewChaCha8([32]byte{8}), map[string]bool{}
	o := acmeAfter(laptopIssued)
	for range 100 {
		secret, err := NewVerification(random)
		if err != nil {
			t.Fatal(err)
		}
		text := secret.Reveal()
		if !verificationFormat.MatchString(text) || text[60:] != checksumOf(text[:60]) {
			t.Fatalf("drew %s", text)
		}
		if seen[text[8:24]] || seen[text[24:60]] {
			t.Fatalf("%s was drawn twice", text)
		}
		seen[text[8:24]], seen[text[24:60]] = true, true
		refusedEverywhere(t, o, "a verification token", text)
		if err := CheckVerification(text); err != nil {
			t.Errorf("%s cannot be the verification token of an engine: %v", text, err)
		}
		if d := (Door{Verification: secret.Hash()}); !d.verifies(text) || d.verifies(text[1:]) {
			t.Errorf("%s does not open the door that it was drawn for, or not it alone", text)
		}
		hides(t, secret, "a verification token", fmt.Sprintf("%v %+v %#v", secret, secret, secret))
	}
}

var verificationFormat = regexp.MustCompile(`^jtn_ver_[0-9a-hjkmnp-tv-z]{16}[0-9A-Za-z]{36}[0-9A-Za-z]{6}$`)

func TestVerificationFailsWithItsReader(t *testing.T) {
	broken := errors.New("no more")
	for name, random := range map[string]io.Reader{
		"at once":      iotest.ErrReader(broken),
		"in its midst": io.MultiReader(strings.NewReader("0123456789"), iotest.ErrReader(broken)),
	} {
		if s, err := NewVerification(random); !errors.Is(err, broken) || s.Reveal() != "" {
			t.Errorf("%s: drew %q, %v, want %v", name, s.Reveal(), err, broken)
		}
	}
}

// refusedEverywhere wants what is not the live secret to open nothing: most of it
// is not even a secret.
func refusedEverywhere(t *testing.T, o *Organization, what, text string) {
	t.Helper()
	shown, ok := ParseSecret(text)
	if v := o.Check(shown, &Ask{Now: today}); v.Active() {
		t.Errorf("%s opens: %q", what, text)
	}
	if ok {
		t.Errorf("%s is a secret: %q", what, text)
	}
	if !ok && shown != (Shown{}) {
		t.Errorf("%s is refused, and is %+v", what, shown)
	}
}

func TestOnlyTheWholeSecretOpens(t *testing.T) {
	live := drawn(t, Personal, laptop, 3)
	o := acmeAfter(TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: live.Hash()})
	text := live.Reveal()
	shown, ok := ParseSecret(text)
	if v := o.Check(shown, &Ask{Now: today}); !ok || !v.Active() {
		t.Fatal("the live secret opens nothing")
	}
	for i := range text {
		refusedEverywhere(t, o, "a beginning", text[:i])
		refusedEverywhere(t, o, "an end", text[i+1:])
		refusedEverywhere(t, o, "one with a hole", text[:i]+text[i+1:])
		refusedEverywhere(t, o, "one that stutters", text[:i]+text[i:i+1]+text[i:])
		for b := range 256 {
			if byte(b) != text[i] {
				refusedEverywhere(t, o, "one with another character", text[:i]+string([]byte{byte(b)})+text[i+1:])
			}
		}
		if i > 0 && text[i] != text[i-1] {
			refusedEverywhere(t, o, "one with two characters swapped", text[:i-1]+text[i:i+1]+text[i-1:i]+text[i+1:])
		}
	}
	for b := range 256 {
		refusedEverywhere(t, o, "a longer one", text+string([]byte{byte(b)}))
		refusedEverywhere(t, o, "a longer one", string([]byte{byte(b)})+text)
	}
	for what, text := range map[string]string{
		"two":              text + text,
		"two in a list":    text + "," + text,
		"one with blanks":  " " + text + " ",
		"one with a line":  text + "\n",
		"one in quotes":    `"` + text + `"`,
		"one with scheme":  "Bearer " + text,
		"a shouted one":    strings.ToUpper(text),
		"a whispered one":  strings.ToLower(text),
		"a long one":       strings.Repeat(text, 1000),
		"blanks":           strings.Repeat(" ", SecretLength),
		"zeros":            strings.Repeat("0", SecretLength),
		"zero bytes":       strings.Repeat("\x00", SecretLength),
		"bytes":            strings.Repeat("\xff", SecretLength),
		"nothing":          "",
		"the scheme":       "Bearer",
		"the hash":         live.Hash().String(),
		"a hidden one":     live.String(),
		"another brand":    "jtx" + text[3:],
		"another kind":     "jtn_svc" + text[7:],
		"another divider":  text[:7] + "-" + text[8:],
		"the other prefix": "jtn_adm" + text[7:],
		"wide characters":  strings.Repeat("０", 22),
	} {
		refusedEverywhere(t, o, what, text)
	}
}

// A right checksum makes no secret of what breaks the format elsewhere.
func TestChecksumIsNotEnough(t *testing.T) {
	body := drawn(t, Personal, laptop, 3).Reveal()[:60]
	o := acmeAfter(laptopIssued)
	for what, body := range map[string]string{
		"another brand":          "JTN_" + body[4:],
		"another kind":           "jtn_eng_" + body[8:],
		"a shouted kind":         "jtn_PAT_" + body[8:],
		"another divider":        "jtn_pat-" + body[8:],
		"no divider at first":    "jtn-pat_" + body[8:],
		"a shouted handle":       body[:8] + strings.ToUpper(body[8:24]) + body[24:],
		"a letter that is none":  body[:8] + "l" + body[9:],
		"a sign in the handle":   body[:20] + "-" + body[21:],
		"a sign in what follows": body[:30] + "-" + body[31:],
		"an underscore":          body[:59] + "_",
		"a blank":                body[:40] + " " + body[41:],
		"a zero byte":            body[:40] + "\x00" + body[41:],
		"a high byte":            body[:40] + "\xff" + body[41:],
		"a wide character":       body[:40] + "é" + body[42:],
		"a character less":       body[:59],
		"a character more":       body + "0",
	} {
		refusedEverywhere(t, o, what, body+checksumOf(body))
	}
}

// Who knows the format can make secrets as many as they like: none opens.
func TestForgeriesOpenNothing(t *testing.T) {
	live := drawn(t, Personal, laptop, 3)
	o := acmeAfter(TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: live.Hash()})
	text := live.Reveal()
	forge := func(body string) string { return body + checksumOf(body) }
	forgeries := map[string]string{
		"another kind":  forge("jtn_adm_" + text[8:60]),
		"a third kind":  forge("jtn_svc_" + text[8:60]),
		"another token": forge(text[:8] + tokenOf(mia).String() + text[24:60]),
		"all zeros":     forge(text[:24] + strings.Repeat("0", 36)),
		"drawn anew":    drawn(t, Personal, laptop, 4).Reveal(),
	}
	for i := 24; i < 60; i++ {
		for _, letter := range []string{"0", "Z", "a", "z"} {
			if text[i:i+1] != letter {
				forgeries[fmt.Sprint("letter ", i, letter)] = forge(text[:i] + letter + text[i+1:60])
			}
		}
	}
	for what, text := range forgeries {
		shown, ok := ParseSecret(text)
		if !ok {
			t.Errorf("%s: %s is no secret", what, text)
		}
		if v := o.Check(shown, &Ask{Now: today}); v.Reason != ReasonUnknown {
			t.Errorf("%s: %s opens, or is known: %q", what, text, v.Reason)
		}
	}
}

func TestSecretHidesItself(t *testing.T) {
	secret := drawn(t, Personal, laptop, 5)
	type open struct{ Secret Secret }
	type closed struct{ secret Secret }
	values := map[string]any{
		"a secret":                 secret,
		"a pointer":                &secret,
		"a field":                  open{secret},
		"a pointer to a field":     &open{secret},
		"a field that is not ours": closed{secret},
		"a list":                   []Secret{secret},
		"an array":                 [1]Secret{secret},
		"a map":                    map[string]Secret{"secret": secret},
		"a key of a map":           map[Secret]string{secret: "secret"},
		"an interface":             []any{secret},
		"an interface that wraps":  struct{ v any }{secret},
	}
	for what, value := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%t", "%10.3v", "%p"} {
			hides(t, secret, what+" as "+format, fmt.Sprintf(format, value))
		}
		hides(t, secret, what+" in an error", fmt.Errorf("no: %v", value).Error())
		if _, key := value.(map[Secret]string); !key {
			data, err := json.Marshal(value)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			hides(t, secret, what+" in JSON", string(data))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("issued", "token", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("issued", "token", value)
		hides(t, secret, what+" in a log", log.String())
	}
	data, err := xml.Marshal(open{secret})
	if err != nil {
		t.Error(err)
	}
	hides(t, secret, "XML", string(data))

	const want = "[redacted]"
	text, err := encoding.TextMarshaler(secret).MarshalText()
	for how, got := range map[string]string{
		"%v": fmt.Sprintf("%v", secret), "%+v": fmt.Sprintf("%+v", secret), "%#v": fmt.Sprintf("%#v", secret),
		"%s": fmt.Sprintf("%s", secret), "String": secret.String(), "MarshalText": string(text),
	} {
		if got != want || err != nil {
			t.Errorf("%s is %q, %v, want %q", how, got, err, want)
		}
	}
	if data, err := json.Marshal(open{secret}); string(data) != `{"Secret":"[redacted]"}` || err != nil {
		t.Errorf("JSON is %s, %v", data, err)
	}
}

// hides wants neither the secret proper nor its bytes in hexadecimal.
func hides(t *testing.T, s Secret, what, output string) {
	t.Helper()
	proper := s.Reveal()[24:60]
	encoded := hex.EncodeToString([]byte(proper))
	if strings.Contains(output, proper) || strings.Contains(strings.ToLower(output), encoded) {
		t.Errorf("%s shows the secret: %s", what, output)
	}
}

// All letters are equally likely: of 36,000 each is there about 581 times.
func TestSecretIsEven(t *testing.T) {
	random := rand.NewChaCha8([32]byte{6})
	var counts [256]int
	const secrets = 1000
	for range secrets {
		s, err := NewSecret(Personal, laptop, random)
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range []byte(s.Reveal()[24:60]) {
			counts[letter]++
		}
	}
	const expected = float64(secrets) * 36 / 62
	chi := 0.0
	for _, letter := range []byte(secretAlphabet) {
		off := float64(counts[letter]) - expected
		chi += off * off / expected
	}
	if chi > 110 { // 61 degrees of freedom: one in ten thousand is above
		t.Errorf("chi squared is %.1f, counts %v", chi, counts)
	}
}

// A byte that would favour the first letters is drawn again: 248 to 255 are none.
func TestSecretDrawsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		random io.Reader
		want   string
	}{
		"zeros":            {repeat(0), strings.Repeat("0", 36)},
		"the last even":    {repeat(247), strings.Repeat("z", 36)},
		"the first uneven": {repeat(248, 1), strings.Repeat("1", 36)},
		"the last uneven":  {repeat(255, 254, 253, 252, 251, 250, 249, 61), strings.Repeat("z", 36)},
		"each second one":  {repeat(255, 62, 250, 125), strings.Repeat("01", 18)},
		"a slow reader":    {iotest.OneByteReader(repeat(61)), strings.Repeat("z", 36)},
	} {
		s, err := NewSecret(Personal, laptop, c.random)
		if err != nil || s.Reveal()[24:60] != c.want {
			t.Errorf("%s: drew %s, %v, want %s", name, s.Reveal(), err, c.want)
		}
	}
}

// cycle is a random source that says the same again and again.
type cycle struct {
	bytes []byte
	at    int
}

func repeat(bytes ...byte) *cycle { return &cycle{bytes: bytes} }

func (c *cycle) Read(into []byte) (int, error) {
	for i := range into {
		into[i] = c.bytes[c.at%len(c.bytes)]
		c.at++
	}
	return len(into), nil
}

func TestSecretFailsWithItsReader(t *testing.T) {
	broken := errors.New("no more")
	for name, random := range map[string]io.Reader{
		"at once":              iotest.ErrReader(broken),
		"in the midst":         io.MultiReader(strings.NewReader("0123456789"), iotest.ErrReader(broken)),
		"when it draws again":  io.MultiReader(strings.NewReader(strings.Repeat("\xff", 48)), iotest.ErrReader(broken)),
		"at the last of bytes": io.MultiReader(strings.NewReader(strings.Repeat("0", 35)), iotest.ErrReader(broken)),
	} {
		s, err := NewSecret(Personal, laptop, random)
		if !errors.Is(err, broken) || s.Reveal() != "" {
			t.Errorf("%s: drew %q, %v, want %v", name, s.Reveal(), err, broken)
		}
	}
	if _, err := NewSecret(Personal, laptop, strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("an empty reader: %v", err)
	}
}

func TestParseSecretAllocatesNothing(t *testing.T) {
	live := drawn(t, Administrative, robot, 7).Reveal()
	for what, text := range map[string]string{
		"a secret": live, "a typo": live[:65] + "?", "a wrong checksum": live[:60] + "000000", "too short": live[1:], "a wrong kind": "jtn_eng" + live[7:],
	} {
		if got := testing.AllocsPerRun(100, func() { _, _ = ParseSecret(text) }); got != 0 {
			t.Errorf("%s: %v allocations", what, got)
		}
	}
}

func FuzzParseSecret(f *testing.F) {
	live := drawn(f, Personal, laptop, 8).Reveal()
	for _, text := range []string{
		"", live, live[:65], live + "0", " " + live, strings.ToUpper(live), drawn(f, Administrative, robot, 9).Reveal(), drawn(f, Service, robot, 10).Reveal(),
		"jtn_pat_000000000000000000000000000000000000000000000000000017ssJn", "Bearer " + live, strings.Repeat("\xff", 66),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := ParseSecret(text)
		if !ok {
			if s != (Shown{}) {
				t.Errorf("%q is refused, and is %+v", text, s)
			}
			return
		}
		again := secretBrand + s.Kind.Prefix() + "_" + s.Token.String() + text[24:60]
		if again += checksumOf(again); again != text || !secretFormat.MatchString(text) || s.Hash != hashOf(text) {
			t.Errorf("%q is read as %+v, which is %q", text, s, again)
		}
	})
}
