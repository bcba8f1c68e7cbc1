package http

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const report = `[{"token":"jtn_pat_…","type":"jeton_token","url":"https://github.com/acme/web/blob/main/.env","source":"content"}]`

// scanner publishes keys and signs reports with them, as GitHub does.
type scanner struct {
	testing.TB
	keys      map[string]*ecdsa.PrivateKey
	published []map[string]any
}

// newScanner is a scanner with a key of today and one of yesterday.
func newScanner(t testing.TB) *scanner {
	s := &scanner{TB: t, keys: map[string]*ecdsa.PrivateKey{}}
	s.publish("today", true)
	s.publish("yesterday", false)
	return s
}

func (s *scanner) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scanner) publish(identifier string, current bool) {
	s.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	s.keys[identifier] = key
	s.published = append(s.published, map[string]any{"key_identifier": identifier, "key": publicPEM(s, key.Public()), "is_current": current})
}

// publicPEM is a public key as GitHub writes it.
func publicPEM(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// parsed are the keys as the service reads them.
func (s *scanner) parsed() ScanningKeys {
	s.Helper()
	document, err := json.Marshal(map[string]any{"public_keys": s.published})
	s.must(err)
	keys, err := ParseScanningKeys(document)
	s.must(err)
	return keys
}

// signature is what the key makes of the body, in DER.
func (s *scanner) signature(identifier, body string) []byte {
	s.Helper()
	digest := sha256.Sum256([]byte(body))
	signature, err := ecdsa.SignASN1(rand.Reader, s.keys[identifier], digest[:])
	s.must(err)
	return signature
}

// signedBy are headers as they arrive: Go's server writes their names like this.
func signedBy(identifier string, signature []byte) http.Header {
	h := http.Header{}
	h.Set("GITHUB-PUBLIC-KEY-IDENTIFIER", identifier)
	h.Set("GITHUB-PUBLIC-KEY-SIGNATURE", base64.StdEncoding.EncodeToString(signature))
	return h
}

// with are the headers after one has got other values.
func with(h http.Header, name string, values ...string) http.Header {
	h = h.Clone()
	h[name] = values
	return h
}

const (
	identifierHeader = "Github-Public-Key-Identifier"
	signatureHeader  = "Github-Public-Key-Signature"
)

func TestScannersAreHeard(t *testing.T) {
	s := newScanner(t)
	keys := s.parsed()
	for _, identifier := range []string{"today", "yesterday"} {
		for _, body := range []string{report, "[]", "", " " + report + "\n", "no JSON\x00\xff"} {
			header := signedBy(identifier, s.signature(identifier, body))
			for range 2 {
				if err := keys.verify(header, []byte(body)); err != nil {
					t.Errorf("%q, signed by the key of %s: %v", body, identifier, err)
				}
			}
		}
	}
}

func TestStrangersAreNoScanners(t *testing.T) {
	s, stranger := newScanner(t), newScanner(t)
	keys, good := s.parsed(), s.signature("today", report)
	signed := signedBy("today", good)
	text := signed.Get(signatureHeader)
	for name, header := range map[string]http.Header{
		"no headers":                  {},
		"no identifier":               with(signed, identifierHeader),
		"no signature":                with(signed, signatureHeader),
		"an empty identifier":         with(signed, identifierHeader, ""),
		"an empty signature":          with(signed, signatureHeader, ""),
		"two identifiers":             with(signed, identifierHeader, "today", "yesterday"),
		"one identifier twice":        with(signed, identifierHeader, "today", "today"),
		"two signatures":              with(signed, signatureHeader, text, base64.StdEncoding.EncodeToString(s.signature("today", report))),
		"one signature twice":         with(signed, signatureHeader, text, text),
		"identifiers in a list":       with(signed, identifierHeader, "today,yesterday"),
		"signatures in a list":        with(signed, signatureHeader, text+", "+text),
		"an unknown identifier":       with(signed, identifierHeader, "tomorrow"),
		"a shouted identifier":        with(signed, identifierHeader, "TODAY"),
		"an identifier with blanks":   with(signed, identifierHeader, " today "),
		"the other key's identifier":  with(signed, identifierHeader, "yesterday"),
		"the other key's signature":   signedBy("today", s.signature("yesterday", report)),
		"a stranger's signature":      signedBy("today", stranger.signature("today", report)),
		"a signature of another body": signedBy("today", s.signature("today", report+" ")),
		"no base64":                   with(signed, signatureHeader, "it was me"),
		"base64 without its end":      with(signed, signatureHeader, strings.TrimRight(text, "=")[:len(text)-4]),
		"base64 with something more":  with(signed, signatureHeader, text+"AAAA"),
		"base64 with a blank":         with(signed, signatureHeader, " "+text),
		"base64 twice":                signedBy("today", []byte(text)),
		"hex":                         with(signed, signatureHeader, fmt.Sprintf("%x", good)),
		"DER with something more":     signedBy("today", append(slices.Clone(good), 0)),
		"zeros":                       signedBy("today", []byte{0x30, 6, 2, 1, 0, 2, 1, 0}),
		"ones":                        signedBy("today", []byte{0x30, 6, 2, 1, 1, 2, 1, 1}),
		"an empty sequence":           signedBy("today", []byte{0x30, 0}),
		"r and s without DER":         signedBy("today", make([]byte, 64)),
		"over another hash":           signedBy("today", s.signatureOverSHA512("today", report)),
		"a long signature":            signedBy("today", make([]byte, 1<<20)),
	} {
		if err := keys.verify(header, []byte(report)); err != errScanSignature {
			t.Errorf("%s: %v, want %v", name, err, errScanSignature)
		}
	}
}

func (s *scanner) signatureOverSHA512(identifier, body string) []byte {
	s.Helper()
	digest := sha512.Sum512([]byte(body))
	signature, err := ecdsa.SignASN1(rand.Reader, s.keys[identifier], digest[:])
	s.must(err)
	return signature
}

// Whoever changes a report on its way breaks its signature.
func TestOneByteBreaksAReport(t *testing.T) {
	s := newScanner(t)
	keys, signature := s.parsed(), s.signature("today", report)
	for i := range report {
		changed := []byte(report)
		changed[i] ^= 1
		if keys.verify(signedBy("today", signature), changed) != errScanSignature {
			t.Errorf("byte %d of the body can be changed", i)
		}
	}
	for i := range signature {
		changed := slices.Clone(signature)
		changed[i] ^= 1
		if keys.verify(signedBy("today", changed), []byte(report)) != errScanSignature {
			t.Errorf("byte %d of the signature can be changed", i)
		}
		if keys.verify(signedBy("today", signature[:i]), []byte(report)) != errScanSignature {
			t.Errorf("%d bytes of the signature are enough", i)
		}
	}
	if keys.verify(signedBy("today", signature), []byte(report)) != nil {
		t.Error("the report itself is refused")
	}
}

func TestWithoutKeysNobodyIsHeard(t *testing.T) {
	s := newScanner(t)
	header := signedBy("today", s.signature("today", report))
	for name, keys := range map[string]ScanningKeys{"none": nil, "an empty list": {}} {
		if err := keys.verify(header, []byte(report)); err != errScanSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that is left out of the list is withdrawn.
func TestWithdrawnKeysAreNotHeard(t *testing.T) {
	s := newScanner(t)
	header := signedBy("yesterday", s.signature("yesterday", report))
	s.published = s.published[:1]
	if err := s.parsed().verify(header, []byte(report)); err != errScanSignature {
		t.Errorf("got %v", err)
	}
}

// A document may have more in it than is known here.
func TestScanningKeysGrow(t *testing.T) {
	s := newScanner(t)
	s.published[0]["algorithm"] = "ECDSA"
	delete(s.published[1], "is_current")
	s.published[1]["key"] = "\n" + strings.ReplaceAll(s.published[1]["key"].(string), "\n", "\r\n") + "\n\n"
	if keys := s.parsed(); len(keys) != 2 || !keys["yesterday"].Equal(s.keys["yesterday"].Public()) {
		t.Errorf("got %v", keys)
	}
}

// badKey is a public key that is not what GitHub signs with.
func badKey(t testing.TB, kind string) string {
	t.Helper()
	var key crypto.PublicKey
	switch kind {
	case "RSA":
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key = made.Public()
	case "Ed25519":
		key = make(ed25519.PublicKey, ed25519.PublicKeySize)
	default:
		made, err := ecdsa.GenerateKey(map[string]elliptic.Curve{"P-384": elliptic.P384(), "P-521": elliptic.P521()}[kind], rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = made.Public()
	}
	return publicPEM(t, key)
}

func TestBadScanningKeys(t *testing.T) {
	s := newScanner(t)
	good := s.published[0]["key"].(string)
	block, _ := pem.Decode([]byte(good))
	offCurve := slices.Clone(block.Bytes)
	offCurve[len(offCurve)-1] ^= 1
	private, err := x509.MarshalECPrivateKey(s.keys["today"])
	s.must(err)
	asPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, c := range map[string]struct{ key, want string }{
		"RSA":                   {badKey(t, "RSA"), "not an ECDSA key on P-256"},
		"P-384":                 {badKey(t, "P-384"), "not an ECDSA key on P-256"},
		"P-521":                 {badKey(t, "P-521"), "not an ECDSA key on P-256"},
		"Ed25519":               {badKey(t, "Ed25519"), "not an ECDSA key on P-256"},
		"a point off the curve": {asPEM("PUBLIC KEY", offCurve), "can't be read"},
		"broken DER":            {asPEM("PUBLIC KEY", block.Bytes[:40]), "can't be read"},
		"DER with more":         {asPEM("PUBLIC KEY", append(slices.Clone(block.Bytes), 0)), "can't be read"},
		"a private key":         {asPEM("EC PRIVATE KEY", private), "not one PUBLIC KEY in PEM"},
		"a certificate":         {asPEM("CERTIFICATE", block.Bytes), "not one PUBLIC KEY in PEM"},
		"two keys in one":       {good + good, "not one PUBLIC KEY in PEM"},
		"text behind":           {good + "and so on", "not one PUBLIC KEY in PEM"},
		"half":                  {good[:len(good)/2], "not one PUBLIC KEY in PEM"},
		"base64 alone":          {base64.StdEncoding.EncodeToString(block.Bytes), "not one PUBLIC KEY in PEM"},
		"nothing":               {"", "not one PUBLIC KEY in PEM"},
	} {
		document, err := json.Marshal(map[string]any{"public_keys": append(slices.Clone(s.published), map[string]any{"key_identifier": "bad", "key": c.key})})
		s.must(err)
		keys, err := ParseScanningKeys(document)
		if err == nil || keys != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"bad"`) {
			t.Errorf("%s: %v, %v, want %q about the bad key", name, keys, err, c.want)
		}
	}
}

func TestBadScanningKeyDocuments(t *testing.T) {
	key, err := json.Marshal(newScanner(t).published[0]["key"])
	if err != nil {
		t.Fatal(err)
	}
	one := fmt.Sprintf(`{"key_identifier":"one","key":%s}`, key)
	for name, c := range map[string]struct{ document, want string }{
		"an empty list":         {`{"public_keys":[]}`, "no key in public_keys"},
		"no list":               {`{}`, "no key in public_keys"},
		"null":                  {`null`, "no key in public_keys"},
		"null for a list":       {`{"public_keys":null}`, "no key in public_keys"},
		"null for a key":        {`{"public_keys":[null]}`, "key 1 of public_keys has no key_identifier"},
		"no identifier":         {fmt.Sprintf(`{"public_keys":[%s,{"key":%s}]}`, one, key), "key 2 of public_keys has no key_identifier"},
		"one identifier twice":  {fmt.Sprintf(`{"public_keys":[%s,%s]}`, one, one), "key 2 of public_keys has no key_identifier of its own"},
		"nothing":               {``, "something else"},
		"half":                  {`{"public_keys":[` + one, "something else"},
		"text behind":           {`{"public_keys":[` + one + `]} x`, "something else"},
		"the list alone":        {`[` + one + `]`, "something else"},
		"a key that is no text": {`{"public_keys":[{"key_identifier":"one","key":1}]}`, "something else"},
		"a page of HTML":        {`<!DOCTYPE html>`, "something else"},
	} {
		keys, err := ParseScanningKeys([]byte(c.document))
		if err == nil || keys != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", name, keys, err, c.want)
		}
	}
}

func TestParseFindings(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []finding
	}{
		"nothing":          {`[]`, []finding{}},
		"one":              {report, []finding{{"jtn_pat_…", "jeton_token", "https://github.com/acme/web/blob/main/.env", "content"}}},
		"two":              {`[{"token":"a","type":"x"},{"token":"b"}]`, []finding{{Token: "a", Type: "x"}, {Token: "b"}}},
		"one twice":        {`[{"token":"a"},{"token":"a"}]`, []finding{{Token: "a"}, {Token: "a"}}},
		"an empty url":     {`[{"token":"a","url":"","source":"npm"}]`, []finding{{Token: "a", Source: "npm"}}},
		"a null":           {`[{"token":"a","url":null}]`, []finding{{Token: "a"}}},
		"a field to come":  {`[{"token":"a","severity":{"level":9},"first_seen":"2026-11-22T12:00:00Z"}]`, []finding{{Token: "a"}}},
		"blanks":           {" \r\n[ {\"token\" : \"a\"} ]\n", []finding{{Token: "a"}}},
		"a long token":     {`[{"token":"` + strings.Repeat("x", 4096) + `"}]`, []finding{{Token: strings.Repeat("x", 4096)}}},
		"a hundred":        {"[" + strings.Repeat(`{"token":"a"},`, 99) + `{"token":"a"}]`, slices.Repeat([]finding{{Token: "a"}}, 100)},
		"another alphabet": {`[{"token":"\u00e4\n"}]`, []finding{{Token: "ä\n"}}},
	} {
		got, err := parseFindings([]byte(c.body))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d findings, %v, want %d", name, len(got), err, len(c.want))
		}
	}
}

func TestBadFindings(t *testing.T) {
	const secret = "jtn_pat_secret"
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"no body":              {``, 400, "not JSON"},
		"half":                 {`[{"token":"jtn_pat_secret"`, 400, "not JSON"},
		"a word":               {secret, 400, "not JSON"},
		"text behind":          {`[{"token":"jtn_pat_secret"}] x`, 400, "not JSON"},
		"two lists":            {`[][]`, 400, "not JSON"},
		"deep":                 {strings.Repeat("[", 20_000), 400, "not JSON"},
		"a comma too many":     {`[{"token":"jtn_pat_secret"},]`, 400, "not JSON"},
		"not UTF-8":            {"[{\"token\":\"jtn_pat_secret\xff\"}]", 400, "not UTF-8"},
		"null":                 {`null`, 422, "array"},
		"an object":            {`{"token":"jtn_pat_secret"}`, 422, "an array"},
		"a string":             {`"jtn_pat_secret"`, 422, "an array"},
		"a list of strings":    {`["jtn_pat_secret"]`, 422, "an object"},
		"a list of lists":      {`[["jtn_pat_secret"]]`, 422, "an object"},
		"a token in an object": {`[{"token":{"token":"jtn_pat_secret"}}]`, 422, "a string"},
		"a number":             {`[{"token":1}]`, 422, "a string"},
		"no token":             {`[{"token":"jtn_pat_secret"},{"url":"x"}]`, 422, "finding 2 has no token"},
		"a null":               {`[null]`, 422, "finding 1 has no token"},
		"too long a token":     {`[{"token":"` + strings.Repeat("é", 2048) + `x"}]`, 422, "the token of finding 1 has more than 4096 bytes"},
		"too many":             {"[" + strings.Repeat(`{"token":"jtn_pat_secret"},`, 1000) + `{"token":"a"}]`, 422, "1001 findings, more than 1000"},
	} {
		found, err := parseFindings([]byte(c.body))
		if err == nil || found != nil {
			t.Errorf("%s: found %d", name, len(found))
			continue
		}
		p := translate(err)
		if p.Status != c.status || !strings.Contains(p.Detail, c.want) || strings.Contains(fmt.Sprint(*p), "secret") {
			t.Errorf("%s: %d %s, want %d and %q", name, p.Status, p.Detail, c.status, c.want)
		}
	}
}

// The hash was computed by another program.
func TestScanLabels(t *testing.T) {
	const hash = "c1b9d05a988ea27afcab5009b26e93235dcf2b65b6caf8f8cc11997d8fe6560b"
	f := finding{Token: "jtn_pat_0123456789abcdef0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ3jVUFJ", Type: "jeton_token", URL: "x", Source: "content"}
	for label, genuine := range map[string]bool{"true_positive": true, "false_positive": false} {
		got, err := json.Marshal(f.label(genuine))
		want := fmt.Sprintf(`{"token_hash":%q,"token_type":"jeton_token","label":%q}`, hash, label)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestFindingsHideThemselves(t *testing.T) {
	f := finding{Token: "jtn_pat_secret", Type: "secret", URL: "secret", Source: "secret"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{f, &f, []finding{f}, map[string]finding{"f": f}, struct{ F finding }{f}} {
			if got := fmt.Sprintf(verb, value); strings.Contains(got, "secret") || strings.Contains(got, "736563726574") {
				t.Errorf("%s of %T prints %s", verb, value, got)
			}
		}
	}
}

// Only what the scanner has signed is heard, whatever is shown for it.
func FuzzScanningSignature(f *testing.F) {
	s := newScanner(f)
	keys, signed := s.parsed(), signedBy("today", s.signature("today", report))
	f.Add("today", signed.Get(signatureHeader), []byte(report))
	f.Add("yesterday", signed.Get(signatureHeader), []byte(report))
	f.Add("today", signed.Get(signatureHeader), []byte(""))
	f.Add("today", "MAYCAQECAQE=", []byte(report))
	f.Add("", "", []byte(nil))
	f.Fuzz(func(t *testing.T, identifier, signature string, body []byte) {
		header := http.Header{identifierHeader: {identifier}, signatureHeader: {signature}}
		err := keys.verify(header, body)
		if err != nil && err != errScanSignature {
			t.Errorf("got %v", err)
		}
		if err == nil && (identifier != "today" || string(body) != report) {
			t.Errorf("%q is heard, as if %q had signed it", body, identifier)
		}
	})
}

// What is read can be written and is read again; what is refused is the
// stranger's fault.
func FuzzParseFindings(f *testing.F) {
	for _, body := range []string{
		report, ``, `[]`, `null`, `[null]`, `{}`, `[{}]`, `[{"token":""}]`, `[{"token":"a","token":"b"}]`, `[{"TOKEN":"a"}]`, `[{"token":1}]`,
		`[{"token":"a","x":[{"y":null}]}]`, `[{"token":"\ud800"}]`, "[{\"token\":\"\xff\"}]", `[{"token":"<&>\u2028"}]`, `[{"token":"a"}] `, `[{"token":"a"}]]`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := parseFindings(body)
		if err != nil {
			if p := translate(err); found != nil || p.Status != 400 && p.Status != 422 {
				t.Errorf("%q: %d findings and %+v", body, len(found), p)
			}
			return
		}
		if len(found) > 100 || slices.ContainsFunc(found, func(f finding) bool { return f.Token == "" || len(f.Token) > 4096 }) {
			t.Errorf("%q is read", body)
		}
		written, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseFindings(written); err != nil || !slices.Equal(again, found) {
			t.Errorf("%q is read again as %q, %v", body, written, err)
		}
	})
}
