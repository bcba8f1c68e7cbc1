package domain

// approval is what is known of a token that waits.
type approval struct {
	Requester Actor
	Until     Instant
}

// asksInPerson refuses a token that waits to whoever is no person: who runs the
// program could approve what it asks for.
func asksInPerson(m Meta) error {
	if m.Actor.Kind != ActorMember {
		return Refuse(ErrDenied, "a token that needs approval is asked for by a person, so that another one decides", "use a personal token")
	}
	return nil
}

// ApproveToken lets a token that waits begin to work.
type ApproveToken struct {
	Token  TokenID
	Reason string
}

// Decide refuses whoever asked for the token, or would hold it: four eyes.
func (c ApproveToken) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.judges(m, c.Token, c.Reason); err != nil {
		return nil, err
	}
	t, _ := o.Tokens.Find(c.Token)
	if err := o.handsOver(m, t.Kind, t.Holder, o.terms[t.terms]); err != nil {
		return nil, err
	}
	return []Event{ApprovalGiven(c)}, nil
}

// RefuseToken ends a token that waits.
type RefuseToken struct {
	Token  TokenID
	Reason string
}

// Decide wants a reason: whoever asked shall know.
func (c RefuseToken) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.judges(m, c.Token, c.Reason); err != nil {
		return nil, err
	}
	if c.Reason == "" {
		return nil, Invalid("reason", "is missing", "say why, for whoever asked")
	}
	return []Event{ApprovalRefused(c)}, nil
}

// judges refuses everybody who may not decide about a token that waits.
func (o *Organization) judges(m Meta, id TokenID, reason string) error {
	if err := o.allows(m, TokensApprove); err != nil {
		return err
	}
	t, err := o.token(id)
	if err != nil {
		return err
	}
	if err := checkLine("reason", reason, MaxReason); err != nil {
		return err
	}
	a, waits := o.approvals[id]
	if !waits || !t.Waiting {
		return Refuse(ErrState, "the token does not wait for approval", "look at the list of approvals")
	}
	if a.Until <= m.Time || !t.Live(m.Time) {
		return Refuse(ErrState, "nobody has decided about the token in time", "issue it anew")
	}
	if m.Actor.Kind != ActorMember || m.Actor.Account == a.Requester.Account || m.Actor.Account == t.Holder {
		return Refuse(ErrDenied, "somebody else than who asked for the token has to decide", "ask another person who may approve")
	}
	return nil
}

// Pending is a token that waits.
type Pending struct {
	Token     TokenID
	Requester Actor
	Until     Instant
}

// Waiting are the tokens that can still be approved, the oldest first.
func (o *Organization) Waiting(now Instant) (all []Pending) {
	for t := range o.Tokens.All() {
		if a, waits := o.approvals[t.ID]; t.Waiting && waits && a.Until > now && t.Live(now) {
			all = append(all, Pending{t.ID, a.Requester, a.Until})
		}
	}
	return all
}

// Lapse is what the service does with tokens that nobody has approved in time.
type Lapse struct{}

// Decide ends them.
func (Lapse) Decide(o *Organization, m Meta) (events []Event, err error) {
	if m.Actor.Kind != ActorSystem {
		return nil, Refuse(ErrDenied, "only the service itself does this", "")
	}
	if len(o.approvals) == 0 {
		return nil, nil // it is asked often, and of every organization
	}
	for t := range o.Tokens.All() {
		if a, waits := o.approvals[t.ID]; t.Waiting && waits && a.Until <= m.Time && len(events) < MaxRevoked {
			events = append(events, ApprovalLapsed{t.ID})
		}
	}
	return events, nil
}

// ApprovalRequested says that a token waits: it opens nothing until somebody else
// than who asked for it approves.
type ApprovalRequested struct {
	Token TokenID `json:"token"`
	Until Instant `json:"until"`
}

// Kind is stored.
func (ApprovalRequested) Kind() string { return "approval.requested" }

// Evolve lets the token wait.
func (e ApprovalRequested) Evolve(o *Organization, m Meta) {
	o.approvals[e.Token] = approval{m.Actor, e.Until}
	o.Tokens.change(e.Token, func(t *Token) { t.Waiting, t.Changed = true, m.Position })
}

// ApprovalGiven says that a token begins to work.
type ApprovalGiven struct {
	Token  TokenID `json:"token"`
	Reason string  `json:"reason,omitempty"`
}

// Kind is stored.
func (ApprovalGiven) Kind() string { return "approval.given" }

// Evolve ends the waiting.
func (e ApprovalGiven) Evolve(o *Organization, m Meta) {
	delete(o.approvals, e.Token)
	o.Tokens.change(e.Token, func(t *Token) { t.Waiting, t.Changed = false, m.Position })
}

// ApprovalRefused says that a token will never work.
type ApprovalRefused struct {
	Token  TokenID `json:"token"`
	Reason string  `json:"reason"`
}

// Kind is stored.
func (ApprovalRefused) Kind() string { return "approval.refused" }

// Evolve ends the token.
func (e ApprovalRefused) Evolve(o *Organization, m Meta) { o.end(e.Token, m) }

// ApprovalLapsed says that nobody has decided about a token in time.
type ApprovalLapsed struct {
	Token TokenID `json:"token"`
}

// Kind is stored.
func (ApprovalLapsed) Kind() string { return "approval.lapsed" }

// Evolve ends the token.
func (e ApprovalLapsed) Evolve(o *Organization, m Meta) { o.end(e.Token, m) }
