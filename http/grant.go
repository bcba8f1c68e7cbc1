package http

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
)

// Grant is what a token or a service account is given. It is exported because huma
// looks into exported fields only.
type Grant struct {
	Access      string   `json:"access,omitempty" enum:"read-only,full-access,role,custom" doc:"read-only: what is marked read. full-access: all that its holder may do. role: what a role allows. custom: a list of permissions. Absent: what tokens of its kind have anyway; service accounts need one."`
	Role        string   `json:"role,omitempty" maxLength:"40" doc:"With the access role: which one." example:"ci"`
	Permissions []string `json:"permissions,omitempty" maxItems:"512" doc:"With the access custom: the names of permissions."`
	Resources   []string `json:"resources,omitempty" maxItems:"100" doc:"Only on these, each type:id, or type:* for all of a type. Absent: on everything." example:"[\"engine:prod\"]"`
}

// grant is the same as the domain has it. No grant at all is the usual one.
func (g *Grant) grant() domain.Grant {
	if g == nil {
		return domain.Grant{}
	}
	return domain.Grant{Access: domain.Access(g.Access), Role: domain.Role(g.Role), Permissions: some(g.Permissions), Resources: listOf[domain.Resource](g.Resources)}
}

// describeGrant shows a grant; the usual one is none.
func describeGrant(g domain.Grant) *Grant {
	if g.IsZero() {
		return nil
	}
	return &Grant{string(g.Access), string(g.Role), g.Permissions, listOf[string](g.Resources)}
}

// Limit is how often something may happen. It is exported because huma looks into
// exported fields only.
type Limit struct {
	Requests uint32 `json:"requests,omitempty" maximum:"1000000000" doc:"How many requests in each window. Absent or 0: there is no limit here, and the one above it counts." example:"100"`
	Window   string `json:"window,omitempty" maxLength:"40" doc:"How long a window is: a second to 31 days, like 1s, 1m or 1d." example:"1m"`
}

// limit is the same as the domain has it, for a field of that name. No limit at
// all is none.
func (l *Limit) limit(field string) (domain.Limit, error) {
	if l == nil {
		return domain.Limit{}, nil
	}
	window, err := length(field+".window", l.Window)
	if err != nil || l.Requests == 0 {
		return domain.Limit{}, err
	}
	return domain.Limit{Requests: l.Requests, Window: window}, nil
}

// change is limit for a field that may be left out: nil leaves things as they are.
func (l *Limit) change(field string) (*domain.Limit, error) {
	if l == nil {
		return nil, nil
	}
	changed, err := l.limit(field)
	return &changed, err
}

// describeLimit shows a limit; none is nil.
func describeLimit(l domain.Limit) *Limit {
	if l.IsZero() {
		return nil
	}
	return &Limit{l.Requests, describeLength(l.Window)}
}

// networks reads networks as CIDR writes them. An address is not taken for a
// network, nor the other way round: whoever writes 10.0.0.1/8 may mean either.
func networks(texts []string) (all []domain.Network, err error) {
	for i, text := range texts {
		n, err := network(fmt.Sprintf("networks[%d]", i), text)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func network(field, text string) (domain.Network, error) {
	n, err := netip.ParsePrefix(text)
	if err != nil {
		return n, noNetwork(field, text)
	}
	address := n.Addr().Unmap()
	switch {
	case n.Addr().Is4In6():
		return n, domain.Invalid(field, "is an IPv4 network written as one of IPv6", "write it like 10.0.0.0/8")
	case n != n.Masked():
		return n, domain.Invalid(field, "%s has something behind its prefix", fmt.Sprintf("write %s for the network, or %s/%d for the address", n.Masked(), address, address.BitLen()), n)
	}
	return n, nil
}

// noNetwork says what somebody has written instead of a network. Only what reads
// as an address is repeated: anything else could be a secret in the wrong place.
func noNetwork(field, text string) error {
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return domain.Invalid(field, "is no network", "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7/32")
	}
	address = address.Unmap()
	return domain.Invalid(field, "%s is an address, and a network belongs here", fmt.Sprintf("write %s/%d for this address alone", address, address.BitLen()), address)
}

// describeNetworks writes networks as CIDR does.
func describeNetworks(all []domain.Network) []string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = n.String()
	}
	return texts
}

// words are names as text, an empty list of them included.
func words[S ~string](names []S) []string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return texts
}

// some is a list that has something in it, or nil: the domain knows one empty list.
func some[T any](all []T) []T {
	if len(all) == 0 {
		return nil
	}
	return all
}

// listOf is a list of names as names of another type; an empty one is nil.
func listOf[To, From ~string](all []From) (same []To) {
	for _, name := range all {
		same = append(same, To(name))
	}
	return same
}

// OrNull is a field that can be left out, be null, or have a value, which are three
// things in a change: unchanged, none, and this. In an answer it is null or has a
// value. It is exported because huma looks into exported fields only.
type OrNull[T any] struct {
	Given bool // it was there
	Value *T   // nil: null
}

// orNull is a value for an answer.
func orNull[T any](value *T) OrNull[T] { return OrNull[T]{true, value} }

// UnmarshalJSON is called only if the field is there.
func (o *OrNull[T]) UnmarshalJSON(text []byte) error {
	o.Given, o.Value = true, nil // what was there before is replaced, not added to
	return json.Unmarshal(text, &o.Value)
}

// MarshalJSON writes null or the value.
func (o OrNull[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.Value) }

// Schema implements huma.SchemaProvider: the schema of the value, or null. It
// stands where it is used, because null can't be added to a reference.
func (OrNull[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return &s
}
