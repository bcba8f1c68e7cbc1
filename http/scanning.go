package http

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"jeton/domain"
)

// ScanningKeys are the public keys of a scanner that reports leaked tokens, by
// their identifiers. The zero value trusts nobody.
//
// A report is written as GitHub's secret scanning partner program writes it, and
// any scanner may that signs in the same way:
//
//	Github-Public-Key-Identifier: which key has signed
//	Github-Public-Key-Signature: base64 of an ECDSA signature in ASN.1 DER, made
//	    on P-256 over the SHA-256 of the body, as it was sent
//
//	[{"token":"jtn_pat_…","type":"jeton_token","url":"https://…","source":"content"}]
//
// No time is signed. Whoever sees a report can send it again, for ever: to act on
// it twice must do no more than to act on it once.
type ScanningKeys map[string]*ecdsa.PublicKey

// ParseScanningKeys reads the document in which GitHub publishes its keys:
//
//	{"public_keys":[{"key_identifier":"…","key":"-----BEGIN PUBLIC KEY-----\n…","is_current":true}]}
//
// All keys of the list count: is_current says which one signs now, and a report
// that an older one has signed may still be on its way. A key that is left out is
// withdrawn. What is added to the document some day is passed over. A key that is
// not ECDSA on P-256, and a list without keys, are refused: better no start than a
// scanner that is never heard.
func ParseScanningKeys(data []byte) (ScanningKeys, error) {
	var published struct {
		Keys []struct {
			Identifier string `json:"key_identifier"`
			Key        string `json:"key"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal(data, &published); err != nil {
		return nil, fmt.Errorf(`keys are published as {"public_keys":[…]}, this is something else: %w`, err)
	}
	if len(published.Keys) == 0 {
		return nil, errors.New("there is no key in public_keys")
	}
	keys := ScanningKeys{}
	for i, k := range published.Keys {
		if k.Identifier == "" || keys[k.Identifier] != nil {
			return nil, fmt.Errorf("key %d of public_keys has no key_identifier of its own", i+1)
		}
		key, err := parseScanningKey(k.Key)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.Identifier, err)
		}
		keys[k.Identifier] = key
	}
	return keys, nil
}

func parseScanningKey(text string) (*ecdsa.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not one PUBLIC KEY in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is not an ECDSA key on P-256")
	}
	return key, nil
}

// errScanSignature refuses a report. It does not say what is wrong with it:
// strangers control all of it, and scanners get it right.
var errScanSignature = errors.New("a report that no known scanner has signed")

// known reports whether the headers name a key that there is.
func (keys ScanningKeys) known(header http.Header) bool {
	return keys[header.Get("Github-Public-Key-Identifier")] != nil
}

// verify refuses a body that none of the keys has signed. A header that is there
// twice is refused, because a proxy may have checked the other.
func (keys ScanningKeys) verify(header http.Header, body []byte) error {
	identifiers, signatures := header["Github-Public-Key-Identifier"], header["Github-Public-Key-Signature"]
	if len(identifiers) != 1 || len(signatures) != 1 {
		return errScanSignature
	}
	key, known := keys[identifiers[0]]
	if !known {
		return errScanSignature
	}
	signature, err := base64.StdEncoding.DecodeString(signatures[0])
	if err != nil {
		return errScanSignature
	}
	digest := sha256.Sum256(body)
	if !ecdsa.VerifyASN1(key, digest[:], signature) {
		return errScanSignature
	}
	return nil
}

// finding is a text that a scanner takes for a token, and where it stands. It
// hides itself from logs: the text may be a secret that works.
type finding struct {
	Token  string `json:"token" doc:"What was found."`
	Type   string `json:"type" doc:"The scanner's name for this kind of secret."`
	URL    string `json:"url" doc:"Where it was found; may be empty."`
	Source string `json:"source" doc:"What it was found in: content, commit, issue_title and so on."`
}

// String hides the finding.
func (finding) String() string { return "[redacted]" }

// GoString hides the finding from %#v.
func (finding) GoString() string { return "[redacted]" }

const (
	scanningBody      = 4 << 20 // of a report
	findingsLimit     = 1000
	findingTokenLimit = 4096 // bytes
)

// parseFindings reads the body of a report whose signature is good. Unlike all
// other bodies it may have fields that are not known here: GitHub adds some when
// it likes (source was added so), and leaked tokens must not stay alive for that.
func parseFindings(body []byte) ([]finding, error) {
	if !utf8.Valid(body) {
		return nil, problem(400, "malformed", "the body is not UTF-8", "send it as UTF-8")
	}
	var found []finding
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, undecodable(err)
	}
	if found == nil {
		return nil, domain.Refuse(domain.ErrInvalid, "null stands where an array belongs", "send a list of findings")
	}
	if len(found) > findingsLimit {
		return nil, domain.Refuse(domain.ErrInvalid, "there are %d findings, more than %d", "send them in several requests", len(found), findingsLimit)
	}
	for i, f := range found {
		if err := f.validate(i + 1); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (f finding) validate(number int) error {
	if f.Token == "" {
		return domain.Refuse(domain.ErrInvalid, "finding %d has no token", "say in each what was found", number)
	}
	if len(f.Token) > findingTokenLimit {
		return domain.Refuse(domain.ErrInvalid, "the token of finding %d has more than %d bytes", "send what may be a token", number, findingTokenLimit)
	}
	return nil
}

// scanLabel answers a finding, so that the scanner learns what it does well. It
// names the token by the hash that stands in our log too, and never repeats it.
//
// GitHub's documentation asks for the SHA-256 of the token and does not say how
// it is written. This is lower-case hex, as sha256sum prints it.
type scanLabel struct {
	TokenHash string `json:"token_hash" doc:"The SHA-256 of what was found, in hex."`
	TokenType string `json:"token_type" doc:"The type that the finding has."`
	Label     string `json:"label" enum:"true_positive,false_positive" doc:"Whether it is or was a token of ours."`
}

// label answers the finding. It is genuine if it is a token of ours, or was one.
func (f finding) label(genuine bool) scanLabel {
	hash := sha256.Sum256([]byte(f.Token))
	l := scanLabel{TokenHash: hex.EncodeToString(hash[:]), TokenType: f.Type, Label: "false_positive"}
	if genuine {
		l.Label = "true_positive"
	}
	return l
}
