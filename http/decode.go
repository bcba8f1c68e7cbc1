package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"jeton/domain"
)

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
		p := problem(422, "invalid", fmt.Sprintf("a %s stands where a %s belongs", wrong.Value, wrong.Type), "see /api/openapi.json for what is expected")
		p.Errors = []FieldProblem{{"body." + wrong.Field, "wrong type"}}
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

func subject(prefix string, number domain.Position) string {
	return prefix + strconv.FormatUint(uint64(number), 10)
}
