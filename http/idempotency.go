package http

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
)

// Once makes a request happen once, however often it is sent with the same key:
// the second one gets the answer of the first, without the secret. It is
// exported because huma looks into exported fields only.
type Once struct {
	Key     string `header:"Idempotency-Key" maxLength:"255" doc:"Any text of your choice, new for each new request. A request that is sent again with its key within a day happens once: the answer is the same, but without the secret."`
	RawBody []byte

	request string
}

// Resolve implements huma.Resolver: which request it is belongs to the intent.
func (o *Once) Resolve(ctx huma.Context) []error {
	path := ctx.URL().Path
	o.request = ctx.Method() + " " + path
	return nil
}

// meta is the occasion of the one command that the request stands for. The same
// person may repeat a request with another token of theirs.
func (o *Once) meta(c Caller) domain.Meta {
	meta := c.Meta()
	if o.Key == "" {
		return meta
	}
	who := meta.Actor.Account.ID
	if meta.Actor.Kind != domain.ActorMember {
		who = meta.Actor.Token.ID
	}
	meta.Key = digest(meta.Organization.ID[:], who[:], []byte(o.Key))
	meta.Intent = digest([]byte(o.Key), []byte(o.request), o.RawBody)
	return meta
}

// digest is half a SHA-256 of all parts, each behind its length, so that no two
// lists of parts read alike.
func digest(parts ...[]byte) (id domain.CommandID) {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write(part)
	}
	copy(id[:], sum.Sum(nil))
	return id
}
