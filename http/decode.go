package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"jeton/domain"
)

// quick is a request that is asked so often that it reads itself if it is written
// as programs write it. If it says no it is as it was, and read like any other.
type quick interface{ quick(body []byte) bool }

// onlyString is the value in an object that begins so, {"key":", and has no other
// key, no blanks and nothing that is written in another way than it reads.
func onlyString(body []byte, begin string) (string, bool) {
	const end = `"}`
	if len(body) < len(begin)+len(end) || string(body[:len(begin)]) != begin || string(body[len(body)-len(end):]) != end {
		return "", false
	}
	value := body[len(begin) : len(body)-len(end)]
	for _, c := range value {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(value), true
}

// quickAnswer is an answer that is given so often that it writes itself, exactly
// as encoding/json would write it.
type quickAnswer interface{ appendJSON(text []byte) []byte }

// appendString writes a string as encoding/json does.
func appendString(text []byte, s string) []byte {
	for i := range len(s) {
		if !asItIs[s[i]] {
			quoted, _ := json.Marshal(s) // a string can always be written
			return append(text, quoted...)
		}
	}
	return append(append(append(text, '"'), s...), '"')
}

// asItIs are the bytes that encoding/json writes as they are.
var asItIs = func() (plain [256]bool) {
	for c := byte(' '); c <= '~'; c++ {
		plain[c] = !strings.ContainsRune(`"\<>&`, rune(c))
	}
	return plain
}()

// appendField writes a field behind others, unless it is empty.
func appendField(text []byte, name, value string) []byte {
	if value == "" {
		return text
	}
	text = append(append(append(text, `,"`...), name...), `":`...)
	return appendString(text, value)
}

// unreadable says why a body could not be read to its end.
func unreadable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem(413, "too-large", fmt.Sprintf("the body has more than %d bytes", large.Limit), "send less")
	}
	return problem(400, "malformed", "the body broke off", "send it again")
}

// undecodable says what is wrong with a body, without repeating any of it.
func undecodable(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		detail := fmt.Sprintf("%s stands where %s belongs", jsonWord(wrong.Value), goWord(wrong.Type))
		p := problem(422, "invalid", detail, "see /api/openapi.json for what is expected")
		if wrong.Field != "" {
			p.Errors = []FieldProblem{{"body." + wrong.Field, detail}}
		}
		return p
	}
	if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		p := problem(422, "invalid", "the body has a field that is not known here", "see /api/openapi.json for what is expected")
		if name, err := strconv.Unquote(field); err == nil && len(name) <= 40 {
			p.Errors = []FieldProblem{{"body." + name, "is not known here"}}
		}
		return p
	}
	return problem(400, "malformed", "the body is not JSON", "send a JSON object")
}

// jsonWord is what people call a JSON value. encoding/json puts numbers behind
// their word.
func jsonWord(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	switch kind {
	case "array", "object":
		return "an " + kind
	case "bool":
		return "true or false"
	}
	return "a " + kind
}

// goWord is what people call what fits into a Go type.
func goWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a positive whole number"
}

func subject(prefix string, number domain.Position) string {
	return prefix + strconv.FormatUint(uint64(number), 10)
}
