package engine

import (
	"net/netip"
	"strconv"
	"time"

	"jeton/domain"
)

// Checker decides about who stands at the door of an engine. A Client does so from
// its copy. It is asked from many goroutines at once.
type Checker interface {
	Check(Presented) Answer
}

// Presented is what somebody shows at the door, and what they want. They control all
// of it but the address.
type Presented struct {
	Secret    string     // of a token, or the verification token; empty: nothing is shown
	Forwarded string     // whom the bearer of the verification token says they act for
	Address   netip.Addr // where they are; invalid: nobody says
	Agent     string     // their program, as it calls itself
	// Permission is what they want to do, by name; empty: to come in at all.
	Permission string
	Resource   domain.Resource // on what; empty: on nothing in particular
	// Again: this is a request that has come in before and still runs. It is answered as
	// any other, but is no other use: it does not count against limits, is not reported,
	// and does not keep a token from being idle.
	Again bool
}

// Answer says whether somebody comes in, and who they are.
type Answer struct {
	Allowed bool
	// Reason is why not. It is for logs: who stands outside is not told.
	Reason       domain.Reason
	Via          domain.Via
	Organization string          // the alias
	Engine       string          // the name
	Holder       domain.Position // the number of the member or service account, if they have shown a token
	// Email is the member's, or whom the bearer of the verification token says they act
	// for; empty: nobody in person.
	Email     string
	Role      domain.Role      // of the member
	Token     domain.TokenID   // of the organization, even if it does not open the door; zero: none
	ExpiresAt domain.Instant   // of the token; zero: never
	Limit     domain.Allowance // what is left to the token
	At        domain.Instant   // when it was decided
	Age       time.Duration    // how old what was decided by is; 0: of this moment
	Position  domain.Position
}

// Subject is who has come in, for ever: user:<number> or service:<number>; empty: it
// is not known.
func (a *Answer) Subject() string {
	switch a.Via {
	case domain.ViaPersonal:
		return "user:" + strconv.FormatUint(uint64(a.Holder), 10)
	case domain.ViaService:
		return "service:" + strconv.FormatUint(uint64(a.Holder), 10)
	}
	return ""
}

// Check decides about who stands at the door. It touches memory only.
func (c *Client) Check(p Presented) (a Answer) {
	now := c.config.Now()
	c.copy.mu.RLock()
	defer c.copy.mu.RUnlock()
	if !c.copy.asOf(&a, now) {
		a.Reason = domain.ReasonStale
		return a
	}
	a.At = c.copy.clock(a.Age)
	c.copy.decide(&a, &p)
	return a
}
