package http

import (
	"strconv"
	"strings"

	"jeton/domain"
)

// IfMatch guards a change against losing somebody else's: it is made only while
// the thing is what the client has read. Without the header it is made whatever
// the thing is.
//
// It is exported because huma looks into exported fields only.
type IfMatch struct {
	Tag string `header:"If-Match" doc:"The ETag that was read: the change is refused with 412 if it is another one by now." example:"\"42\""`
}

// etag names the version of a thing: the position of the commit that changed it
// last.
func etag(changed domain.Position) string {
	return strconv.Quote(strconv.FormatUint(uint64(changed), 10))
}

// seen is the version that the client has read; 0: it does not matter. What is no
// strong ETag is malformed; one that we never gave is stale.
func (m IfMatch) seen() (domain.Position, error) {
	tag := strings.TrimSpace(m.Tag)
	if tag == "" || tag == "*" {
		return 0, nil
	}
	inner, opened := strings.CutPrefix(tag, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	if !opened || !closed || strings.Contains(inner, `"`) {
		return 0, malformedHeader("If-Match", "is not one strong ETag", `send the ETag as it came, like "42", in its quotes`)
	}
	at, err := strconv.ParseUint(inner, 10, 64)
	if err != nil || at == 0 || etag(domain.Position(at)) != tag {
		return 0, domain.Refuse(domain.ErrStale, "it never had that ETag", "read it again and repeat the change")
	}
	return domain.Position(at), nil
}

func malformedHeader(name, detail, next string) error {
	p := problem(400, "malformed", name+" "+detail, next)
	p.Errors = []FieldProblem{{"header." + name, detail}}
	return p
}
