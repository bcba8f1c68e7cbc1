package domain

// Could is whether the bearer of each token could come in at an engine and do what is
// asked for there, the oldest token first. Who shows it is not known: it is as if each
// secret was shown and, unless the ask says from where, from where it may be. used is
// when a token was last used.
func (o *Organization) Could(e Engine, ask Ask, used func(place uint32) Instant, found func(*Token, *Entrance)) {
	anywhere := *o
	if !ask.Address.IsValid() {
		anywhere.Policy.Networks = nil
	}
	for at := range o.Tokens.kept {
		t, came, asked := &o.Tokens.kept[at], Entrance{}, ask
		if networks := o.termsAt(t.terms).Networks; len(networks) > 0 && !ask.Address.IsValid() {
			asked.Address = networks[0].Addr()
		}
		asked.Used = used(uint32(at))
		if e.Door.Enter(&anywhere, &came, uint32(at), Shown{Token: t.ID, Kind: t.Kind, Hash: t.Hash}, &asked); came.Verdict.ID.IsZero() {
			came.Verdict.ID, came.Verdict.Token, came.Verdict.Seat = t.ID, *t, t.seat
		}
		found(t, &came)
	}
}
